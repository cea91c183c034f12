"""A guest's memory as its checkpoint has it: which pages there are, and which are zero."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from pyxl.checkpoint.pages import PageIndex, Run, fill
from pyxl.checkpoint.source import Source
from pyxl.errors import StreamError
from pyxl.files.opened import opened
from pyxl.formats.stream.libxc_records import PAGE_SIZE

ZERO = bytes(PAGE_SIZE)
#: Pages that are read at once.
AT_ONCE = 256


def pieces(source: Source, runs: Iterator[Run]) -> Iterator[tuple[int, bytes]]:
    """Yield (gfn, memory) for some pages at a time."""
    for gfn, left, offset in runs:
        while left:
            count = min(left, AT_ONCE)
            yield gfn, source.read(offset, count * PAGE_SIZE)
            gfn, left, offset = gfn + count, left - count, offset + count * PAGE_SIZE


def zero_groups(memory: bytes) -> Iterator[tuple[bool, int, int]]:
    """Yield (is zero, offset in bytes, pages) for each group of consecutive pages of ``memory``."""
    at = 0
    for is_zero, some in groupby(memory.startswith(ZERO, start) for start in range(0, len(memory), PAGE_SIZE)):
        pages = len(list(some))
        yield is_zero, at, pages
        at += pages * PAGE_SIZE


def zero_pages(path: Path) -> int:
    """Return how many pages of a checkpoint are all zero; of a broken one, up to its fault.

    Only the last copy of each page counts.
    """
    index = PageIndex()
    with opened(path) as source:
        with suppress(StreamError):
            fill(index, source)
        groups = (group for _, memory in pieces(source, index.runs()) for group in zero_groups(memory))
        return sum(pages for is_zero, _, pages in groups if is_zero)
