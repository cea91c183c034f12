"""A checkpoint in a repository, seen as the file that xl would have: for all that reads checkpoints."""

from collections.abc import Iterator
from contextlib import ExitStack

from pyxl.checkpoint.frame_cache import FrameCache
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.sums import RunningSums
from pyxl.errors import BadRecord, StreamError
from pyxl.formats.stream import trailer
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.memory import places
from pyxl.memory.places import BROKEN, ZERO
from pyxl.repository.layout import Layout, check
from pyxl.repository.manifest import Manifest
from pyxl.repository.pack import Pack
from pyxl.repository.repository import Repository


class View(Source):
    """Checkpoint ``number`` of a repository; ``stored`` is what its packs and manifest take, in bytes.

    Its packs stay open until ``close``: what they hold stays readable, whoever removes them.

    :raise StreamError: it is not whole, as far as that is known without reading its pages.
    :raise OSError: it cannot be read.
    """

    is_summed = True

    def __init__(self, repository: Repository, number: int) -> None:
        # Not Source's own: there is no file that has it all.
        self.fd = -1
        self.sums = RunningSums(*trailer.HASHES)
        self.is_device, self.seekable = False, True
        self.compressed = None
        self.offset = 0
        self._pread = self._virtual
        self._owned = ExitStack()
        self.repository = repository
        self.number = number
        data = repository.read_manifest(number)
        self.manifest: Manifest = repository.parsed(number, data)
        self.packs: list[Pack] = []
        try:
            for name, size in self.manifest.packs:
                self.packs.append(repository.open_pack(name, size))
                self._owned.callback(self.packs[-1].close)
            pages = [[pack.pages(frame) for frame in range(len(pack))] for pack in self.packs]
            if what := check(self.manifest.runs, pages):
                raise BadRecord(f"the manifest has {what}", 0)
        except BaseException:
            self.close()
            raise
        self.layout = Layout(self.manifest)
        self.size = self.layout.size
        self.stored = len(data) + sum(pack.size for pack in self.packs)
        self._cache = FrameCache(self.packs, places.SLOTS * PAGE_SIZE)
        self._inline: tuple[int, bytes] = (-1, b"")

    def keep_open(self) -> None:
        """Do nothing: the packs are its own."""

    def close(self) -> None:
        """Close the packs; harmless when done twice."""
        self._owned.close()

    def damaged(self) -> Iterator[StreamError]:
        """Yield what is wrong with frames that have pages of this checkpoint; each frame is opened once."""
        wanted = {(places.pack_of(place) - 1, places.frame_of(place)) for _, _, place in self._all_runs()}
        for pack, frame in sorted(each for each in wanted if each[0] >= 0):
            try:
                self._cache.content(pack, frame)
            except StreamError as error:
                yield error

    def _all_runs(self) -> Iterator[tuple[int, int, int]]:
        return places.RUN.iter_unpack(self.manifest.runs)

    def _virtual(self, length: int, offset: int) -> bytes:
        """Return ``length`` bytes of the content, fewer only at its end."""
        parts = []
        end = min(offset + length, self.size)
        while offset < end:
            part = self._some(offset, end - offset)
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, offset: int, length: int) -> bytes:
        """Return at least one byte at an offset within the content."""
        number = self.layout.part_at(offset)
        if number != self._inline[0]:
            self._inline = number, self.layout.inline(number)
        inline = self._inline[1]
        offset -= self.layout.starts[number]
        if offset < len(inline):
            return inline[offset : offset + length]
        page, within = divmod(offset - len(inline), PAGE_SIZE)
        for _, count, place in self.layout.runs(number):
            if place == BROKEN:
                continue
            if page < count:
                return self._pages(place, page * PAGE_SIZE + within, min(length, (count - page) * PAGE_SIZE - within))
            page -= count
        raise AssertionError(f"byte {offset} of part {number}")

    def _pages(self, place: int, offset: int, length: int) -> bytes:
        if place == ZERO:
            return bytes(length)
        content = self._cache.content(places.pack_of(place) - 1, places.frame_of(place))
        start = places.slot_of(place) * PAGE_SIZE + offset
        return bytes(content[start : start + length])
