"""A stream whose pages lie in the frames of packs, wherever; each thread opens the frames that it needs.

Imports next to nothing: the save-helper starts through here.
"""

import ctypes
import os
from _bisect import bisect_left
from itertools import accumulate

from pyxl.checkpoint.frame_cache import FrameCache
from pyxl.errors import BadRecord
from pyxl.memory import places
from pyxl.memory.frames_out import ENTRY
from pyxl.memory.sources import PlainSource
from pyxl.memory.zeros import MOST, is_zero
from pyxl.xen.foreign import PAGE_SIZE

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Number of frames, descriptor, magic: the end of a pack.
_FOOT_BYTES = 9


class PacksSource(PlainSource):
    """The stream in ``fd``, a file that has nothing where pages belong.

    ``plan`` is a file that says where they are: the number of PAGE_DATA records, for each where its pages begin and how
    many runs they are, and then all runs.  ``packs`` were checked by the toolstack.
    """

    def __init__(self, fd: int, plan: int, packs: list[int]) -> None:
        super().__init__(fd)
        data = os.pread(plan, os.fstat(plan).st_size, 0)
        (count,) = places.RECORDS.unpack_from(data)
        runs_at = places.RECORDS.size + count * places.RECORD.size
        pairs = list(places.RECORD.iter_unpack(data[places.RECORDS.size : runs_at]))
        self._starts: list[int] = [start for start, _ in pairs]
        self._firsts: list[int] = list(accumulate((runs for _, runs in pairs), initial=0))
        self._runs = memoryview(data)[runs_at:]
        self.packs = [_Pack(fd) for fd in packs]

    def pages(self) -> "PacksPages":
        return PacksPages(self)

    def runs(self, offset: int) -> "Iterator[tuple[int, int, int]]":
        """Return the runs (gfn, pages, place) of the record whose pages begin at ``offset``.

        :raise BadRecord: none does.
        """
        number = bisect_left(self._starts, offset)
        if number == len(self._starts) or self._starts[number] != offset:
            raise BadRecord("no pages of the checkpoint begin here", offset)
        size = places.RUN.size
        return places.RUN.iter_unpack(self._runs[size * self._firsts[number] : size * self._firsts[number + 1]])


class _Pack:
    """A pack's frames, by its seek table."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.name = os.readlink(f"/proc/self/fd/{fd}").rpartition("/")[2]  # noqa: PTH115 (the helper has no pathlib)
        size = os.lseek(fd, 0, os.SEEK_END)
        count = int.from_bytes(os.pread(fd, 4, size - _FOOT_BYTES), "little")
        table = os.pread(fd, ENTRY.size * count, size - _FOOT_BYTES - ENTRY.size * count)
        self._entries = list(ENTRY.iter_unpack(table))
        self._ats: list[int] = list(accumulate((stored for stored, _ in self._entries), initial=0))

    def frame(self, number: int) -> tuple[int, int, int]:
        return self._ats[number], *self._entries[number]


class PacksPages:
    """One thread's reader."""

    def __init__(self, source: PacksSource) -> None:
        self._source = source
        self._cache = FrameCache(source.packs, places.SLOTS * PAGE_SIZE)

    def fill(self, address: int, size: int, offset: int) -> None:
        """Read the ``size`` bytes of a record's pages, which begin at ``offset`` of the stream, into memory.

        :raise BadRecord: a frame is damaged, or the record has others.
        """
        end = address + size
        for _, pages, place in self._source.runs(offset):
            if address + pages * PAGE_SIZE > end:
                break
            if place == places.ZERO:
                _clear(address, pages)
            else:
                self._copy(address, pages, place)
            address += pages * PAGE_SIZE
        if address != end:
            raise BadRecord("a record with other pages than the checkpoint's", offset)

    def _copy(self, address: int, pages: int, place: int) -> None:
        pack, frame, slot = places.pack_of(place) - 1, places.frame_of(place), places.slot_of(place)
        size = pages * PAGE_SIZE
        if slot == 0 and size == self._cache.size(pack, frame):
            self._cache.open(pack, frame, (address, size))
            return
        content = self._cache.content(pack, frame)
        start = ctypes.addressof(ctypes.c_char.from_buffer(content))
        ctypes.memmove(address, start + slot * PAGE_SIZE, size)


def _clear(address: int, pages: int) -> None:
    for first in range(0, pages, MOST):
        count = min(MOST, pages - first)
        if not is_zero(address + first * PAGE_SIZE, count):  # new memory nearly always is
            ctypes.memset(address + first * PAGE_SIZE, 0, count * PAGE_SIZE)
