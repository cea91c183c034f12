"""A picture of a guest's memory: how much of each stretch of addresses is of which kind, in few numbers.

Does not know how the picture is drawn.
"""

from array import array
from collections.abc import Iterable, Iterator
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

from pyxl.checkpoint.pages import PageIndex, fill
from pyxl.errors import StreamError
from pyxl.files.guest_memory import pieces, zero_groups
from pyxl.files.opened import opened
from pyxl.formats.stream.libxc_records import PAGE_SIZE

MAX_CELLS = 1 << 17
MAX_REGIONS = 24
#: Empty stretches of more than this many pages are left out of the picture.
_FOLD = 4096
#: A share of a cell is a number from 0 to this.
_SHARES = 15
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_GIB_4 = 1 << 20
_VGA_HOLE = (0xA0, 0xC0)
#: Where RAM below 4 GiB ends, in pages, where the config does not say.
_LOW_END = {"hvm": 0xF0000, "pvh": 0xFEE00}


class Region(NamedTuple):
    """``pages`` from ``gfn`` on, and two letters for each cell: three shares, as digits in base 64."""

    gfn: int
    pages: int
    cells: str


class MemoryMap(NamedTuple):
    """``kinds`` are (what, pages) in the order of the shares; a cell is 2 to the power of ``shift`` pages."""

    kinds: list[tuple[str, int]]
    shift: int
    regions: list[Region]


def guest_map(path: Path, config: dict[str, Any] | None) -> MemoryMap:
    """Return the map of a checkpoint: data, zero, and ballooned out; of a broken one, up to its fault.

    Ballooned is RAM in the config that a whole stream has no page for.
    """
    index = PageIndex()
    with opened(path) as source:
        try:
            fill(index, source)
            is_whole = True
        except StreamError:
            is_whole = False
        ram = list(_ram(config or {}))
        canvas = Canvas(merge(((run.gfn, run.gfn + run.pages) for run in index.runs()), ram))
        for gfn, memory in pieces(source, index.runs()):
            for is_zero, at, pages in zero_groups(memory):
                canvas.add(int(is_zero), gfn + at // PAGE_SIZE, pages)
    if is_whole:
        canvas.fill(2, ram)
    return canvas.map(("data", "zero", "ballooned"))


class Canvas:
    """Counts of three kinds of pages, for cells of the addresses that have any."""

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        """Lay out cells for ``stretches``, each from a gfn up to another, in their order."""
        regions = _regions(stretches)
        span = sum(end - start for start, end in regions)
        self._shift = max(0, (-(-span // MAX_CELLS) - 1).bit_length())
        cell = 1 << self._shift
        self._regions = []  # (start, end, number of its first cell)
        cells = 0
        for start, end in regions:
            start, end = start // cell * cell, -(-end // cell) * cell
            self._regions.append((start, end, cells))
            cells += (end - start) >> self._shift
        self._counts = [array("Q", bytes(8 * cells)) for _ in range(3)]
        self._last = 0

    def add(self, kind: int, gfn: int, pages: int) -> None:
        """Count pages of a kind, all within the stretches; fast if they come in order."""
        counts, cell = self._counts[kind], 1 << self._shift
        while pages:
            start, end, first = self._regions[self._last]
            if not start <= gfn < end:
                self._last = (self._last + 1) % len(self._regions)
                continue
            inside = min(pages, cell - gfn % cell)
            counts[first + ((gfn - start) >> self._shift)] += inside
            gfn, pages = gfn + inside, pages - inside

    def fill(self, kind: int, stretches: Iterable[tuple[int, int]]) -> None:
        """Count everything in ``stretches`` that is not counted yet as this kind."""
        cell = 1 << self._shift
        wanted = array("Q", bytes(8 * len(self._counts[kind])))
        for low, high in stretches:
            for start, end, first in self._regions:
                for at in range(max(low, start) // cell * cell, min(high, end), cell):
                    wanted[first + ((at - start) >> self._shift)] += min(high, at + cell) - max(low, at)
        for number, pages in enumerate(wanted):
            there = sum(counts[number] for counts in self._counts)
            self._counts[kind][number] += max(0, pages - there)

    def map(self, kinds: Iterable[str]) -> MemoryMap:
        """Return what was counted."""
        totals = [(kind, sum(counts)) for kind, counts in zip(kinds, self._counts, strict=True)]
        regions = []
        for start, end, first in self._regions:
            cells = range(first, first + ((end - start) >> self._shift))
            regions.append(Region(start, end - start, "".join(self._letters(number) for number in cells)))
        return MemoryMap(totals, self._shift, regions)

    def _letters(self, number: int) -> str:
        word = 0
        for counts in self._counts:
            # Rounded up, so that a single page shows.
            word = word << 4 | -(-_SHARES * counts[number] >> self._shift)
        return _LETTERS[word >> 6] + _LETTERS[word & 63]


def _regions(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join stretches with small gaps between them, until they are few."""
    regions = list(_joined(stretches, _FOLD))
    fold = _FOLD
    while len(regions) > MAX_REGIONS:
        fold *= 4
        regions = list(_joined(regions, fold))
    return regions


def _joined(stretches: Iterable[tuple[int, int]], fold: int) -> Iterator[tuple[int, int]]:
    last: tuple[int, int] | None = None
    for start, end in stretches:
        if last is None:
            last = start, end
        elif start <= last[1] + fold:
            last = last[0], max(last[1], end)
        else:
            yield last
            last = start, end
    if last is not None:
        yield last


def _ram(config: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of gfns where a guest of this config has RAM, as libxl and libxenguest lay it out."""
    build = config.get("b_info", {})
    kind = str(config.get("c_info", {}).get("type"))
    pages = (_number(build, "max_memkb") - _number(build, "video_memkb")) // 4
    if pages <= 0:
        return
    if kind not in _LOW_END:
        yield 0, pages
        return
    hole = _number(build.get(f"type.{kind}", {}), "mmio_hole_memkb") // 4
    low = min(pages, _GIB_4 - hole if 0 < hole < _GIB_4 else _LOW_END[kind])
    if kind == "hvm" and low > _VGA_HOLE[1]:
        yield 0, _VGA_HOLE[0]
        yield _VGA_HOLE[1], low
    else:
        yield 0, low
    if pages > low:
        yield _GIB_4, _GIB_4 + pages - low


def _number(members: Any, name: str) -> int:
    value = members.get(name) if isinstance(members, dict) else None
    return value if isinstance(value, int) and 0 <= value < 1 << 50 else 0
