"""A checkpoint with its pages in the order of the guest, each once: a live save has written some more than once."""

from collections.abc import Iterator

from pyxl.checkpoint.pages import PageIndex, Run, runs
from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError
from pyxl.formats.stream import libxc_v2, record, walk
from pyxl.formats.stream.libxc_records import HEAD, PAGE_SIZE, WORD
from pyxl.formats.stream.walk import Element

#: Pages of a record, as libxc writes them.
_MOST = 1024


def in_order(source: Source) -> Iterator[bytes]:
    """Yield a checkpoint of an HVM or PVH guest from the libxl header to END, rewritten; the source can seek.

    :raise StreamError: it is broken.
    :raise PyxlError: its pages cannot be put in order.
    """
    for part in parts(source):
        if isinstance(part, PageIndex):
            yield from _records(source, part)
        else:
            yield part


def parts(source: Source) -> Iterator[bytes | PageIndex]:
    """Yield a checkpoint as ``in_order``, but where its pages would be written, an index of all that came before."""
    index, has_pages = PageIndex(), False
    source.offset = 0
    for element in walk.elements(source.take, source.skip):
        if element.layer in ("xl", "pyxl"):
            continue
        if element.layer == "libxc":
            _can_be_ordered(source, element)
            if element.kind == libxc_v2.PAGE_DATA:
                for run in runs(source, element):
                    index.add(run)
                has_pages = True
                continue
            if has_pages:
                yield index
                has_pages = False
        yield source.read(element.offset, element.size)


def _can_be_ordered(source: Source, element: Element) -> None:
    if element.kind == libxc_v2.VERIFY:
        raise PyxlError("its pages are followed by others to compare them with")
    if element.name == "DOMAIN_HEADER":
        kind, *_ = libxc_v2.DOMAIN.unpack(source.read(element.body, libxc_v2.DOMAIN.size))
        if kind != libxc_v2.TYPE_HVM:
            raise PyxlError("a PV guest's pages have types, and stay in the order in which they were saved")


def _records(source: Source, index: PageIndex) -> Iterator[bytes]:
    """Yield all pages as PAGE_DATA."""
    batch: list[Run] = []
    count = 0
    for run in index.runs():
        gfn, left, offset = run
        while left:
            part = min(left, _MOST - count)
            batch.append(Run(gfn, part, offset))
            gfn, left, offset, count = gfn + part, left - part, offset + part * PAGE_SIZE, count + part
            if count == _MOST:
                yield _record(source, batch, count)
                batch, count = [], 0
    if batch:
        yield _record(source, batch, count)


def _record(source: Source, batch: list[Run], count: int) -> bytes:
    words = b"".join(WORD.pack(gfn) for run in batch for gfn in range(run.gfn, run.gfn + run.pages))
    pages = (source.read(run.offset, run.pages * PAGE_SIZE) for run in batch)
    return record.encode(libxc_v2.PAGE_DATA, b"".join((HEAD.pack(count, 0), words, *pages)))
