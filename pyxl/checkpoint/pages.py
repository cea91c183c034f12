"""Where in a checkpoint each page of the guest is, found without reading any page.

Knows what PAGE_DATA records say about their pages; does not know what is in a page.
"""

import struct
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from pyxl.checkpoint.source import Source
from pyxl.errors import BadRecord, TruncatedStream
from pyxl.formats.stream import libxc_records, libxc_v2, walk
from pyxl.formats.stream.libxc_records import HEAD, PAGE_SIZE, PAGE_TYPES, PFN_MASK, TYPE_SHIFT, WITH_DATA, WORD, XTAB
from pyxl.formats.stream.walk import Element

#: Words that are looked at together: libxc writes a record for every 1024.
_PIECE = 1024
#: Pages in a chunk of the index: a divisor of _PIECE, so that a chunk without holes is one number.
_CHUNK = 128
PAGE_KB = PAGE_SIZE >> 10


class Run(NamedTuple):
    """``pages`` pages from ``gfn`` on, which follow one another from byte ``offset`` of the file on."""

    gfn: int
    pages: int
    offset: int


def runs(source: Source, element: Element) -> Iterator[Run]:
    """Yield the pages that a PAGE_DATA record has.

    :raise BadRecord: what it says about its pages is impossible.
    :raise TruncatedStream: the file ends within it.
    """
    if element.end > source.size:
        raise TruncatedStream("file ends within PAGE_DATA", source.size)
    head = libxc_records.page_head_size(source.read(element.body, HEAD.size), element.length, element.body)
    words, at, end = element.body + HEAD.size, element.body + head, element.body + element.length
    for start in range(words, at, WORD.size * _PIECE):
        size = min(WORD.size * _PIECE, element.body + head - start)
        for gfn, count in _runs(struct.unpack(f"<{size // WORD.size}Q", source.read(start, size)), start):
            if at + count * PAGE_SIZE > end:
                raise BadRecord("PAGE_DATA with fewer pages than it names", element.offset)
            yield Run(gfn, count, at)
            at += count * PAGE_SIZE
    if at != end:
        raise BadRecord("PAGE_DATA with more than the pages that it names", element.offset)


def _runs(words: tuple[int, ...], offset: int) -> Iterator[tuple[int, int]]:
    """Yield (gfn, count) of the pages that follow one another."""
    first, count = words[0], 0
    if first <= PFN_MASK and words == tuple(range(first, first + len(words))):
        yield first, len(words)
        return
    if min(words) >> TYPE_SHIFT == XTAB:
        return
    for word in words:
        kind, gfn = word >> TYPE_SHIFT, word & ((1 << TYPE_SHIFT) - 1)
        if kind not in PAGE_TYPES or (gfn > PFN_MASK and kind != XTAB):
            raise BadRecord(f"page word {word:#x}", offset)
        if kind in WITH_DATA:
            if count and gfn == first + count:
                count += 1
                continue
            if count:
                yield first, count
            first, count = gfn, 1
    if count:
        yield first, count


class PageIndex:
    """Where the last copy of each page of a guest is in the file.

    Takes about 140 bytes for 128 pages that came in one piece, and 1.2 KiB for 128 that did not: from 30 MiB to 250 MiB
    for a guest of 100 GiB.
    """

    def __init__(self) -> None:
        # The offset of 128 pages that are together, or one offset for each, 0 for none.
        self._chunks: dict[int, int | array[int]] = {}

    def add(self, run: Run) -> None:
        """Add pages; they come later in the stream than all that were added before."""
        gfn, left, offset = run
        while left:
            number, inside = divmod(gfn, _CHUNK)
            count = min(left, _CHUNK - inside)
            if count == _CHUNK:
                self._chunks[number] = offset
            else:
                chunk = self._offsets(number)
                chunk[inside : inside + count] = _following(offset, count)
                self._chunks[number] = chunk
            gfn, left, offset = gfn + count, left - count, offset + count * PAGE_SIZE

    def offset(self, gfn: int) -> int | None:
        """Return where a page is, None where the stream does not have it."""
        return self._offsets(gfn // _CHUNK)[gfn % _CHUNK] or None

    def runs(self) -> Iterator[Run]:
        """Yield all pages in the order of the guest."""
        last = Run(0, 0, 0)
        for number in sorted(self._chunks):
            for run in self._chunk_runs(number):
                if run.gfn == last.gfn + last.pages and run.offset == last.offset + last.pages * PAGE_SIZE:
                    last = Run(last.gfn, last.pages + run.pages, last.offset)
                else:
                    if last.pages:
                        yield last
                    last = run
        if last.pages:
            yield last

    def _chunk_runs(self, number: int) -> Iterator[Run]:
        chunk = self._chunks[number]
        if isinstance(chunk, int):
            yield Run(number * _CHUNK, _CHUNK, chunk)
            return
        first = pages = 0
        for at, offset in enumerate(chunk):
            if pages and offset == chunk[first] + pages * PAGE_SIZE:
                pages += 1
                continue
            if pages:
                yield Run(number * _CHUNK + first, pages, chunk[first])
            first, pages = at, 1 if offset else 0
        if pages:
            yield Run(number * _CHUNK + first, pages, chunk[first])

    def _offsets(self, number: int) -> "array[int]":
        chunk = self._chunks.get(number)
        if chunk is None:
            return array("Q", bytes(8 * _CHUNK))
        return _following(chunk, _CHUNK) if isinstance(chunk, int) else chunk


def _following(offset: int, count: int) -> "array[int]":
    return array("Q", range(offset, offset + count * PAGE_SIZE, PAGE_SIZE))


def fill(index: PageIndex, source: Source) -> None:
    """Put all pages of a checkpoint into ``index``; of a broken one, those before the fault.

    :raise StreamError: it is broken.
    """
    for element in walk.elements(source.take, source.skip):
        if element.layer != "libxc":
            continue
        if element.kind == libxc_v2.VERIFY:  # the pages that follow are to be compared, not restored
            return
        if element.kind == libxc_v2.PAGE_DATA:
            for run in runs(source, element):
                index.add(run)


def memory_kb(source: Source, enough: int) -> int:
    """Return how much memory a checkpoint has for its guest, in KiB.

    Up to ``enough`` pages that a live stream has more than once may count as often; beyond, each counts once.

    :raise StreamError: it is broken.
    """
    source.offset = pages = 0
    for element in walk.elements(source.take, source.skip):
        if element.layer == "libxc" and element.kind == libxc_v2.PAGE_DATA:
            named = int.from_bytes(source.read(element.body, 4), "little")
            pages += (element.length - HEAD.size - WORD.size * named) // PAGE_SIZE
    if pages * PAGE_KB <= enough:
        return pages * PAGE_KB
    source.offset = 0
    index = PageIndex()
    fill(index, source)
    return sum(run.pages for run in index.runs()) * PAGE_KB
