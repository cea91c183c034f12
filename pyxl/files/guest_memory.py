"""A guest's memory as its checkpoint has it: which pages, and what can be seen in them without knowing the guest."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from pyxl.checkpoint import pages
from pyxl.checkpoint.pages import PageIndex, Run
from pyxl.checkpoint.source import Source, opened
from pyxl.errors import StreamError
from pyxl.formats.stream import libxc_v2, walk
from pyxl.formats.stream.libxc_records import PAGE_SIZE

ZERO = bytes(PAGE_SIZE)
#: Pages that are read at once.
AT_ONCE = 256


def fill(index: PageIndex, source: Source) -> None:
    """Put all pages of a checkpoint into ``index``, those before the fault where it is a broken one.

    :raise StreamError: it is.
    """
    for element in walk.elements(source.take, source.skip):
        if element.layer != "libxc":
            continue
        if element.kind == libxc_v2.VERIFY:  # what follows is there to be compared, and not to be restored
            return
        if element.kind == libxc_v2.PAGE_DATA:
            for run in pages.runs(source, element):
                index.add(run)


def pieces(source: Source, runs: Iterator[Run]) -> Iterator[tuple[int, bytes]]:
    """Yield (gfn, memory) for some pages at a time."""
    for gfn, left, offset in runs:
        while left:
            count = min(left, AT_ONCE)
            yield gfn, source.read(offset, count * PAGE_SIZE)
            gfn, left, offset = gfn + count, left - count, offset + count * PAGE_SIZE


def zero_groups(memory: bytes) -> Iterator[tuple[bool, int, int]]:
    """Yield (are they zero, byte that they start at, pages) for the pages of ``memory`` that follow one another."""
    at = 0
    for is_zero, some in groupby(memory.startswith(ZERO, start) for start in range(0, len(memory), PAGE_SIZE)):
        pages = len(list(some))
        yield is_zero, at, pages
        at += pages * PAGE_SIZE


def zero_pages(path: Path) -> int:
    """Return how many pages of a checkpoint are all zero, up to its fault where it is broken.

    Each counts once, as the guest would have it.
    """
    index = PageIndex()
    with opened(path) as source:
        with suppress(StreamError):
            fill(index, source)
        groups = (group for _, memory in pieces(source, index.runs()) for group in zero_groups(memory))
        return sum(pages for is_zero, _, pages in groups if is_zero)
