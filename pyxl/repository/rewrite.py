"""Live pages of packs, copied one behind the other to a new pack; and a manifest that says where they lie now."""

from array import array
from collections.abc import Iterator

from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.frame_cache import FrameCache
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.zstd import Compressor
from pyxl.errors import StreamError
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.memory import places
from pyxl.memory.places import BROKEN, CHUNK, RUN, SLOTS
from pyxl.repository import pack
from pyxl.repository.manifest import Manifest, PackRef
from pyxl.repository.pack import Pack
from pyxl.repository.survey import Needed

#: zstd's own default: who prunes has time.
_LEVEL = 3

Run = tuple[int, int, int]


class Rewrite:
    """Copies pages to a pack that is written in ``file``; holds one frame of each at a time.

    ``problems`` are frames that are damaged, and were copied as they are.
    """

    def __init__(self, file: NewFile, name: str) -> None:
        self._file = file
        self._name = name
        self._frames: list[tuple[int, int]] = []
        self._hashes = array("Q")
        self._room, self._content = buffer(SLOTS * PAGE_SIZE), buffer(SLOTS * PAGE_SIZE)
        self._compressor = Compressor(_LEVEL, SLOTS * PAGE_SIZE)
        self._waiting: list[tuple[array[int], int, memoryview[int]]] = []  # where in ``_moved``, and their hashes
        self._pages = 0  # that wait
        self._moved: dict[str, tuple[array[int], array[int]]] = {}  # first page of each frame, new place of each page
        self.problems: list[str] = []

    def take(self, old: Pack, needed: Needed) -> None:
        """Copy those pages of a pack that are needed.

        :raise OSError: it cannot be read, or the disk takes no more.
        """
        now = array("Q", bytes(8 * len(needed.flags)))
        self._moved[old.name] = needed.firsts, now
        hashes, cache = old.hashes(), FrameCache([old], SLOTS * PAGE_SIZE)
        for frame in range(len(old)):
            first, pages = needed.firsts[frame], old.pages(frame)
            flags = needed.flags[first : first + pages]
            live = flags.count(1)
            if not live:
                continue
            if live == pages:
                self._copy(old, frame, now, first, hashes.of(frame, 0, pages))
                continue
            try:
                cache.open(0, frame, self._content)
            except StreamError as error:  # who restores it is told, as before
                self.problems.append(error.what)
                self._copy(old, frame, now, first, hashes.of(frame, 0, pages))
                continue
            for slot, count in _stretches(flags):
                self._add(now, first, slot, hashes.of(frame, slot, count))

    @property
    def pages(self) -> int:
        """How many pages were copied."""
        return len(self._hashes)

    def end(self) -> PackRef:
        """Write what still waits, and the index; wait until all is on the disk, and give the pack its name.

        :raise OSError: the disk takes no more.
        """
        self._flush()
        self._file.write(pack.index(self._frames, self._hashes.tobytes()))
        size = self._file.size()
        self._file.sync()
        self._file.commit()
        return PackRef(self._name, size)

    def followed(self, manifest: Manifest, new: PackRef) -> Manifest:
        """Return a manifest that finds the pages in ``new`` which were copied to it."""
        stay = [ref for ref in manifest.packs if ref.name not in self._moved]
        numbers = {ref.name: at for at, ref in enumerate((*stay, new), 1)}
        sources = [None, *(self._moved.get(ref.name) for ref in manifest.packs)]
        shifts = [0, *(places.place(numbers.get(ref.name, 0), 0) for ref in manifest.packs)]
        own, inside = places.place(len(numbers), 0), places.place(1, 0) - 1
        runs = bytearray()
        last = 0, 0, 0
        for gfn, count, place in RUN.iter_unpack(manifest.runs):
            number = places.pack_of(place)
            source = sources[number]
            if source is None:
                pieces: Iterator[Run] | tuple[Run] = ((gfn, count, shifts[number] | place & inside),)
            else:
                firsts, now = source
                at = firsts[places.frame_of(place)] + places.slot_of(place)
                pieces = self._pieces(gfn, now[at : at + count], own)
            for piece in pieces:
                if _follows(last, piece):
                    last = last[0], last[1] + piece[1], last[2]
                    continue
                if last[1]:
                    runs += RUN.pack(*last)
                last = piece
        if last[1]:
            runs += RUN.pack(*last)
        return manifest._replace(packs=(*stay, new), runs=bytes(runs))

    def _pieces(self, gfn: int, now: "array[int]", own: int) -> Iterator[Run]:
        """Yield runs of pages that lie at places in the new pack, one frame's each."""
        at = 0
        while at < len(now):
            place = now[at]
            in_frame = self._frames[places.frame_of(place)][1] // PAGE_SIZE - places.slot_of(place)
            count = min(len(now) - at, in_frame)
            yield gfn + at, count, own | place
            at += count

    def _copy(self, old: Pack, frame: int, now: "array[int]", first: int, hashes: "memoryview[int]") -> None:
        """Copy a frame as it is."""
        self._lie(now, first, len(hashes), 0)
        self._write(old.stored(frame), len(hashes) * PAGE_SIZE)
        self._hashes.extend(hashes)

    def _add(self, now: "array[int]", first: int, slot: int, hashes: "memoryview[int]") -> None:
        """Take pages of the frame that is open, to make a frame with others."""
        while hashes:
            count = min(len(hashes), SLOTS - self._pages)
            start, size = self._pages * PAGE_SIZE, count * PAGE_SIZE
            self._room[start : start + size] = self._content[slot * PAGE_SIZE : slot * PAGE_SIZE + size]
            self._waiting.append((now, first + slot, hashes[:count]))
            self._pages += count
            if self._pages == SLOTS:
                self._flush()
            slot, hashes = slot + count, hashes[count:]

    def _flush(self) -> None:
        if not self._pages:
            return
        slot = 0
        for now, at, hashes in self._waiting:
            self._lie(now, at, len(hashes), slot)
            self._hashes.extend(hashes)
            slot += len(hashes)
        size = self._pages * PAGE_SIZE
        self._write(self._compressor.frame(self._room[:size]), size)
        self._waiting, self._pages = [], 0

    def _lie(self, now: "array[int]", at: int, count: int, slot: int) -> None:
        """Note that pages from ``at`` on lie in the next frame, from ``slot`` on."""
        place = places.place(0, len(self._frames), slot)
        now[at : at + count] = array("Q", range(place, place + count))

    def _write(self, stored: bytes | memoryview, content: int) -> None:
        self._file.write(stored)
        self._frames.append((len(stored), content))


def _follows(run: Run, next_one: Run) -> bool:
    """Tell whether a run goes on in the next one: in the guest, within a chunk, and in a frame."""
    (gfn, count, place), (next_gfn, _, next_place) = run, next_one
    return next_gfn == gfn + count and next_place == place + count and place > BROKEN and next_gfn % CHUNK != 0


def _stretches(flags: bytearray) -> Iterator[tuple[int, int]]:
    """Yield (slot, pages) for pages that are needed and lie together."""
    end = 0
    while (at := flags.find(1, end)) >= 0:
        end = flags.find(0, at)
        if end < 0:
            end = len(flags)
        yield at, end - at
