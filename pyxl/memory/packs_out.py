"""A stream of which only pages that have changed are written: to a pack, in frames, each page once.

What has changed shows by comparing each page's hash with that of the checkpoint before.  Imports next to nothing: the
save-helper starts through here.
"""

import ctypes
import os

from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.zstd import Compressor
from pyxl.memory import places
from pyxl.memory.batches import BROKEN as BROKEN_TYPE
from pyxl.memory.batches import FRAMES, TYPE_SHIFT, WORD, gfns_from
from pyxl.memory.frames_out import FramesSink
from pyxl.memory.page_hash import PageHash
from pyxl.memory.places import ABSENT, BROKEN, CHUNK, COLUMN, SLOTS, ZERO
from pyxl.memory.save import HEAD
from pyxl.memory.zeros import data_runs
from pyxl.xen.foreign import PAGE_SIZE

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Fewer changed pages of a batch than these wait for those of the next ones, to be compressed together.
_ALONE = SLOTS // 4
_ZEROS = ZERO.to_bytes(WORD, "little") * CHUNK
#: Pages whose hashes are compared one by one.
_FEW = 8


class _Chunk:
    """Hashes and places of 1024 frames of the guest."""

    def __init__(self) -> None:
        self.bytes = bytearray(2 * COLUMN)
        self.hashes = memoryview(self.bytes)[:COLUMN].cast("Q")
        self.places = memoryview(self.bytes)[COLUMN:].cast("Q")


class _Slots:
    """``count`` frames of a chunk from ``first`` on, whose pages go to a pack one behind the other."""

    def __init__(self, chunk: _Chunk, first: int, count: int) -> None:
        self.chunk = chunk
        self.first = first
        self.count = count

    def lie_from(self, place: int) -> None:
        column = memoryview(gfns_from(place))[: WORD * self.count].cast("Q")
        self.chunk.places[self.first : self.first + self.count] = column


class PackSink:
    """Appends frames to ``fd``, and for each an entry to ``table``; ``state`` is a file with what is known before.

    An entry without stored bytes tells of content that needs none.  ``end`` puts into ``state`` what is known then.
    """

    def __init__(self, fd: int, table: int, level: int | None, state: int) -> None:
        self._frames = FramesSink(fd, table, level)
        self._state = state
        self._before: list[bytes] = []
        self._after: list[bytes] = []
        self._now: dict[int, _Chunk] = {}
        self._number = 0  # of the next frame
        self._waiting = _Gathered(self._frames.pace.level)
        data = os.pread(state, os.fstat(state).st_size, 0)
        self._pack, secret = places.STATE.unpack_from(data)
        self.hash = PageHash(secret)
        self.zero_hashes = self.hash.zero.to_bytes(WORD, "little") * CHUNK
        self._known = dict(places.chunks(data, places.STATE.size))

    @property
    def level(self) -> int:
        return self._frames.pace.level

    def write(self, data: bytes) -> None:
        (self._after if self._now else self._before).append(data)
        self._frames.tell(0, len(data))

    def pages(self) -> "PackPages":
        self._flush()  # else a page that waits could take the place of a later copy
        return PackPages(self)

    def chunk(self, number: int) -> tuple[_Chunk, bytes]:
        """Return 1024 frames as they are known now, and what to compare them with, as hashes and places."""
        new = _Chunk()
        chunk = self._now.setdefault(number, new)
        if chunk is new:
            return new, self._known.get(number) or bytes(new.bytes)
        return chunk, bytes(chunk.bytes)  # an earlier round had it

    def put(self, frame: "bytes | memoryview", slots: "list[_Slots]") -> None:
        """Append a frame, whose pages are those of ``slots``.

        :raise OSError: the target takes no more, or the disk has failed.
        """
        self._frames.put(frame, PAGE_SIZE * sum(each.count for each in slots))
        place = places.place(self._pack, self._number)
        self._number += 1
        for each in slots:
            each.lie_from(place)
            place += each.count

    def wait(self, address: int, slots: "list[_Slots]", same: int) -> None:
        """Take a few pages from ``address`` on, of which later ones make a frame; ``same`` others have none."""
        count = sum(each.count for each in slots)
        if self._waiting.pages + count > SLOTS:
            self._flush()
        self._waiting.add(address, slots, count)
        if same:
            self._frames.tell(0, same * PAGE_SIZE)

    def end(self) -> None:
        """Write what still waits, and what is known now."""
        self._flush()
        before, after = b"".join(self._before), b"".join(self._after)
        parts: list[bytes | memoryview] = [places.RESULT.pack(len(before), len(after)), before, after]
        for number in sorted(self._now):
            parts += places.NUMBER.pack(number), memoryview(self._now[number].bytes)
        os.ftruncate(self._state, 0)
        os.lseek(self._state, 0, os.SEEK_SET)
        for part in parts:
            write_all(self._state, part)

    def _flush(self) -> None:
        if self._waiting.pages:
            frame, slots = self._waiting.frame(self.level)
            self.put(frame, slots)


class _Gathered:
    """Pages that are copied one behind the other, to become a frame."""

    def __init__(self, level: int) -> None:
        self._copy = buffer(SLOTS * PAGE_SIZE)
        self._at = ctypes.addressof(ctypes.c_char.from_buffer(self._copy))
        self._compressor = Compressor(level, SLOTS * PAGE_SIZE)
        self._slots: list[_Slots] = []
        self.pages = 0

    def add(self, address: int, slots: "list[_Slots]", count: int) -> None:
        ctypes.memmove(self._at + self.pages * PAGE_SIZE, address, count * PAGE_SIZE)
        self._slots += slots
        self.pages += count

    def frame(self, level: int) -> "tuple[memoryview, list[_Slots]]":
        """Return all of them as a frame, good until the next one, and where they belong."""
        self._compressor.level = level
        size, slots = self.pages * PAGE_SIZE, self._slots
        self.pages, self._slots = 0, []
        return self._compressor.frame((self._at, size)), slots


class PackPages:
    """One thread's batch: its pages are copied, and the copies hashed, as the guest may write to a page meanwhile."""

    def __init__(self, sink: PackSink) -> None:
        self._sink = sink
        self._compressor = Compressor(sink.level, SLOTS * PAGE_SIZE)
        self._copy = buffer(FRAMES * PAGE_SIZE)
        self._at = ctypes.addressof(ctypes.c_char.from_buffer(self._copy))
        self._copied = 0  # pages that are to be written
        self._same = 0
        self._slots: list[list[_Slots]] = []  # of each frame
        self._made: list[bytes] = []

    def make(self, head: bytes, address: int, count: int) -> None:
        self._copied = 0
        self._slots, self._made = [[]], []
        chunks: dict[int, tuple[_Chunk, bytes]] = {}
        for gfn, run, is_broken in _stretches(memoryview(head)[HEAD.size :].cast("Q")):
            number, first = divmod(gfn, CHUNK)
            if number not in chunks:
                chunks[number] = self._sink.chunk(number)
            chunk, known = chunks[number]
            if is_broken:
                chunk.places[first] = BROKEN
                continue
            self._compare(chunk, known, first, run, address)
            address += run * PAGE_SIZE
        self._same = count - self._copied
        self._compressor.level = self._sink.level
        for at in range(0, self._copied, SLOTS):
            pages = min(SLOTS, self._copied - at)
            if pages < _ALONE:
                break
            place = self._at + at * PAGE_SIZE, pages * PAGE_SIZE
            # The compressor's own memory is good for one frame.
            self._made.append(bytes(self._compressor.frame(place)))

    def put(self) -> None:
        for frame, slots in zip(self._made, self._slots, strict=False):
            self._sink.put(frame, slots)
        rest = self._slots[len(self._made)] if len(self._made) < len(self._slots) else []
        self._sink.wait(self._at + len(self._made) * SLOTS * PAGE_SIZE, rest, self._same)

    def _compare(self, chunk: _Chunk, known: bytes, first: int, count: int, address: int) -> None:
        """Find out which of ``count`` pages are zero, which are as they were, and copy the others."""
        self._are_zero(chunk, first, count)
        for at, pages in data_runs(address, count):
            copy = self._at + self._copied * PAGE_SIZE
            ctypes.memmove(copy, address + at * PAGE_SIZE, pages * PAGE_SIZE)
            slot = first + at
            hashes = self._sink.hash.of(copy, pages)
            chunk.hashes[slot : slot + pages] = memoryview(hashes).cast("Q")
            self._take(chunk, known, slot, pages, copy)

    def _are_zero(self, chunk: _Chunk, first: int, count: int) -> None:
        chunk.places[first : first + count] = memoryview(_ZEROS)[: WORD * count].cast("Q")
        chunk.hashes[first : first + count] = memoryview(self._sink.zero_hashes)[: WORD * count].cast("Q")

    def _take(self, chunk: _Chunk, known: bytes, first: int, count: int, at: int) -> None:
        """Keep those of ``count`` copies from ``at`` on that have changed, one behind the other."""
        part = slice(WORD * first, WORD * (first + count))
        if memoryview(chunk.bytes)[part] == known[part]:
            chunk.places[first : first + count] = memoryview(known)[COLUMN:][part].cast("Q")
        elif not any(known[part]) and self._sink.hash.zero not in chunk.hashes[first : first + count]:
            self._keep(chunk, first, count, at)  # the guest's first checkpoint
        elif count > _FEW:
            half = count // 2
            self._take(chunk, known, first, half, at)
            self._take(chunk, known, first + half, count - half, at + half * PAGE_SIZE)
        else:
            self._take_each(chunk, known, first, count, at)

    def _take_each(self, chunk: _Chunk, known: bytes, first: int, count: int, at: int) -> None:
        before, old = memoryview(known)[:COLUMN].cast("Q"), memoryview(known)[COLUMN:].cast("Q")
        zero = self._sink.hash.zero
        for slot in range(first, first + count):
            now = chunk.hashes[slot]
            if now == before[slot] and old[slot] != ABSENT:
                chunk.places[slot] = old[slot]
            elif now != zero:
                self._keep(chunk, slot, 1, at)
            at += PAGE_SIZE

    def _keep(self, chunk: _Chunk, first: int, count: int, at: int) -> None:
        """Keep copies, which are to lie behind those that are kept already."""
        to = self._at + self._copied * PAGE_SIZE
        if to != at:
            ctypes.memmove(to, at, count * PAGE_SIZE)
        while count:
            slots = self._slots[-1]
            part = min(count, SLOTS - self._copied % SLOTS)
            last = slots[-1] if slots else None
            if last and last.chunk is chunk and last.first + last.count == first:
                last.count += part
            else:
                slots.append(_Slots(chunk, first, part))
            self._copied, first, count = self._copied + part, first + part, count - part
            if not self._copied % SLOTS:
                self._slots.append([])


def _stretches(words: "memoryview[int]") -> "Iterator[tuple[int, int, bool]]":
    """Yield (gfn, pages, is broken) for words that follow one another, within a chunk."""
    if len(words) == FRAMES and not words[0] % CHUNK and words.tobytes() == gfns_from(words[0]):
        yield words[0], FRAMES, False
        return
    first = count = 0
    for word in words:
        if word >> TYPE_SHIFT == BROKEN_TYPE:
            if count:
                yield first, count, False
                count = 0
            yield word & ((1 << TYPE_SHIFT) - 1), 1, True
        elif count and word == first + count and word % CHUNK:
            count += 1
        else:
            if count:
                yield first, count, False
            first, count = word, 1
    if count:
        yield first, count, False
