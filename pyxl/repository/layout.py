"""Where the content of a checkpoint would lie in xl's file: head, PAGE_DATA records in the order of the guest, tail.

Knows a manifest; does not read pages.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from pyxl.formats.stream import libxc_v2, record
from pyxl.formats.stream.libxc_records import BROKEN as BROKEN_TYPE
from pyxl.formats.stream.libxc_records import HEAD, PAGE_SIZE, PFN_MASK, TYPE_SHIFT, WORD
from pyxl.memory import places
from pyxl.memory.places import BROKEN, CHUNK, RUN
from pyxl.repository.manifest import Manifest


class Layout:
    """Parts, counted from 0: the head, a record for each chunk of the guest, the tail.

    ``starts`` has the offset of each part, and ``size`` is that of all.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._runs = memoryview(manifest.runs)
        firsts, sizes = array("Q", [0]), array("Q", [len(manifest.head)])
        heads = array("Q", [0])
        self._with_broken: set[int] = set()
        chunk = words = pages = at = 0
        for at, (gfn, count, place) in enumerate(RUN.iter_unpack(manifest.runs)):
            if gfn // CHUNK != chunk and words:
                firsts.append(at)
                heads.append(_head_size(words))
                sizes.append(heads[-1] + PAGE_SIZE * pages)
                words = pages = 0
            chunk, words = gfn // CHUNK, words + count
            if place == BROKEN:
                self._with_broken.add(len(firsts))
            else:
                pages += count
        if words:
            firsts.append(at + 1)
            heads.append(_head_size(words))
            sizes.append(heads[-1] + PAGE_SIZE * pages)
        self._firsts = firsts
        self._heads = heads
        self.starts = array("Q", accumulate((*sizes, len(manifest.tail)), initial=0))
        self.size = self.starts.pop()

    @property
    def records(self) -> int:
        """How many PAGE_DATA records there are: parts 1 to so many."""
        return len(self._firsts) - 1

    def part_at(self, offset: int) -> int:
        """Return the part that holds the byte at an offset."""
        return bisect_right(self.starts, offset) - 1

    def runs(self, part: int) -> list[tuple[int, int, int]]:
        """Return the runs of a record: gfn, pages, place."""
        rows = self._runs[RUN.size * self._firsts[part - 1] : RUN.size * self._firsts[part]]
        return list(RUN.iter_unpack(rows))

    def inline(self, part: int) -> bytes:
        """Return what of a part is no pages: a record's head, or all of the head or tail."""
        if part == 0:
            return self._manifest.head
        if part > self.records:
            return self._manifest.tail
        words, pages = [], 0
        for gfn, count, place in self.runs(part):
            kind = BROKEN_TYPE << TYPE_SHIFT if place == BROKEN else 0
            words.append(struct.pack(f"<{count}Q", *range(kind | gfn, (kind | gfn) + count)))
            pages += count * (place != BROKEN)
        body = b"".join(words)
        length = HEAD.size + len(body) + pages * PAGE_SIZE
        return record.HEADER.pack(libxc_v2.PAGE_DATA, length) + HEAD.pack(len(body) // WORD.size, 0) + body

    def pages(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the runs of pages that lie in packs: offset of the first, gfn, pages, place."""
        for part in range(1, self.records + 1):
            at = self.starts[part] + self._heads[part]
            for gfn, count, place in self.runs(part):
                if places.pack_of(place):
                    yield at, gfn, count, place
                at += count * PAGE_SIZE * (place != BROKEN)

    def plan(self) -> bytes:
        """Return what pyxl.memory.packs_in reads: the records, and the runs of those that have pages."""
        rows: list[bytes] = []
        runs: list[bytes | memoryview] = []
        for part in range(1, self.records + 1):
            of_part: bytes | memoryview = self._runs[RUN.size * self._firsts[part - 1] : RUN.size * self._firsts[part]]
            if part in self._with_broken:
                of_part = b"".join(RUN.pack(*run) for run in self.runs(part) if run[2] != BROKEN)
            rows.append(places.RECORD.pack(self.starts[part] + self._heads[part], len(of_part) // RUN.size))
            runs.append(of_part)
        return places.RECORDS.pack(len(rows)) + b"".join(rows) + b"".join(runs)


def _head_size(words: int) -> int:
    return record.HEADER.size + HEAD.size + WORD.size * words


def check(runs: bytes, packs: "list[list[int]]") -> str:
    """Return what is wrong with runs, where ``packs`` has the pages of each frame of each pack; empty if nothing is."""
    end = 0
    for gfn, count, place in RUN.iter_unpack(runs):
        if gfn < end or not count or gfn // CHUNK != (gfn + count - 1) // CHUNK or gfn > PFN_MASK:
            return f"a run of {count} pages from gfn {gfn:#x} on"
        end = gfn + count
        if place in (places.ZERO, BROKEN):
            continue
        pack, frame = places.pack_of(place) - 1, places.frame_of(place)
        if not 0 <= pack < len(packs) or frame >= len(packs[pack]):
            return f"gfn {gfn:#x} in a frame that is not there"
        if places.slot_of(place) + count > packs[pack][frame]:
            return f"gfn {gfn:#x} in a slot that is not there"
    return ""
