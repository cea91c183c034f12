"""A checkpoint's elements in the order of the file: headers, config, marker, records, trailer, each with its place.

Spec: README.md of this folder.  Knows which element may follow which; does not know what is in a record's body.
"""

from collections import deque
from collections.abc import Generator, Iterator
from typing import NamedTuple

from pyxl.errors import BadHeader, BadRecord, UnsupportedStream
from pyxl.formats.stream import libxc_v2, libxl_v2, record, trailer, xl_header
from pyxl.formats.stream.record import Skip, Take

#: The kind of an element that is no record; its name says what it is.
NO_RECORD = -1


class Element(NamedTuple):
    """One piece of a file, in bytes from its start.

    ``layer`` is its owner: "xl", "libxl", "libxc" or "pyxl".  ``size`` counts head and padding, ``length`` the body
    alone, which begins at ``body``; a header is all body.
    """

    layer: str
    kind: int
    name: str
    offset: int
    size: int
    body: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def title(self) -> str:
        return f"{self.layer} {self.name}"


def elements(take: Take, skip: Skip) -> Iterator[Element]:
    """Yield all elements of a file from its first byte to the end of its trailer, if it has one; reads no page.

    A record is yielded when its head is read, and its body is skipped when the next one is asked for: only then does a
    file that ends within the body raise its error.

    :raise StreamError: the file ends early or holds what stock restore would refuse.
    """
    header = xl_header.parse(take)
    yield from header_elements(header)
    if not header.is_v2:
        raise UnsupportedStream("a legacy stream of Xen 4.5 or older", header.size, "`pyxl convert` takes it.")
    end = header.size
    for element in stream(take, skip, header.size):
        yield element
        end = element.end
    if header.has_trailer:
        size = trailer.parse(take, end).size
        yield Element("pyxl", NO_RECORD, "TRAILER", end, size, end, size)


def header_elements(header: xl_header.XlHeader) -> Iterator[Element]:
    """Yield what comes before the stream: the header, the config if there is one, pyxl's marker or other extras."""
    at = xl_header.HEADER.size
    yield _header("xl", "HEADER", 0, at)
    if header.size > at:
        length = header.config_length
        yield Element("xl", NO_RECORD, "CONFIG", at, xl_header.LENGTH.size + length, at + xl_header.LENGTH.size, length)
        at += xl_header.LENGTH.size + length
    if header.size > at:
        yield _header(*(("pyxl", "MARKER") if header.has_marker else ("xl", "OTHER_DATA")), at, header.size - at)


def stream(take: Take, skip: Skip, offset: int) -> Iterator[Element]:
    """Yield the elements of a libxl stream that starts at ``offset``, with libxc's within, up to its END.

    :raise StreamError: as ``elements`` does.
    """
    ident, version, options = libxl_v2.HEADER.unpack(take(libxl_v2.HEADER.size))
    if ident != libxl_v2.IDENT:
        raise BadHeader("libxl stream without its ident", offset)
    if version != libxl_v2.VERSION:
        raise UnsupportedStream(f"libxl stream version {version}", offset + 8)
    if options & libxl_v2.OPTION_BIG_ENDIAN:
        raise UnsupportedStream("big-endian libxl stream", offset + 12)
    yield _header("libxl", "HEADER", offset, libxl_v2.HEADER.size)
    offset += libxl_v2.HEADER.size
    seen_memory = False
    while True:
        kind, length = record.read_header(take, offset)
        if kind not in libxl_v2.RESTORABLE:
            raise UnsupportedStream(f"libxl record type {kind:#x}", offset)
        if kind == libxl_v2.LIBXC_CONTEXT and (length or seen_memory):
            raise BadRecord("LIBXC_CONTEXT with a body, or for the second time", offset)
        if kind != libxl_v2.LIBXC_CONTEXT and not seen_memory:
            raise BadRecord(f"{libxl_v2.NAMES[kind]} before LIBXC_CONTEXT", offset)
        body = offset + record.HEADER.size
        end = body + length + record.padding(length)
        yield Element("libxl", kind, libxl_v2.NAMES[kind], offset, end - offset, body, length)
        skip(end - body)
        if kind == libxl_v2.END:
            return
        offset = end
        if kind == libxl_v2.LIBXC_CONTEXT:
            seen_memory = True
            offset = yield from _libxc(take, skip, offset)


def end_of_stream(take: Take, skip: Skip, offset: int) -> int:
    """Skip a libxl stream that starts at ``offset`` and return the offset behind its END.

    :raise StreamError: as ``elements`` does.
    """
    (last,) = deque(stream(take, skip, offset), maxlen=1)
    return last.end


def _libxc(take: Take, skip: Skip, offset: int) -> Generator[Element, None, int]:
    marker, ident, version, options, _, _ = libxc_v2.IMAGE.unpack(take(libxc_v2.IMAGE.size))
    if marker != libxc_v2.MARKER or ident != libxc_v2.IDENT:
        raise BadHeader("libxc stream without its marker", offset)
    if version not in libxc_v2.VERSIONS:
        raise UnsupportedStream(f"libxc stream version {version}", offset + 12)
    if options & libxc_v2.OPTION_BIG_ENDIAN:
        raise UnsupportedStream("big-endian libxc stream", offset + 16)
    yield _header("libxc", "IMAGE_HEADER", offset, libxc_v2.IMAGE.size)
    offset += libxc_v2.IMAGE.size
    kind, shift, _, _, _ = libxc_v2.DOMAIN.unpack(take(libxc_v2.DOMAIN.size))
    if kind not in (libxc_v2.TYPE_PV, libxc_v2.TYPE_HVM) or shift != libxc_v2.PAGE_SHIFT:
        raise UnsupportedStream(f"domain type {kind} with page shift {shift}", offset)
    yield _header("libxc", "DOMAIN_HEADER", offset, libxc_v2.DOMAIN.size)
    offset += libxc_v2.DOMAIN.size
    while True:
        kind, length = record.read_header(take, offset)
        if kind in libxc_v2.UNREADABLE:
            what = libxc_v2.NAMES[kind]
            raise UnsupportedStream(f"libxc record {what}, which no plain restore takes", offset)
        if kind not in libxc_v2.NAMES and not kind & libxc_v2.OPTIONAL:
            raise UnsupportedStream(f"libxc record type {kind:#x}", offset)
        body = offset + record.HEADER.size
        end = body + length + record.padding(length)
        yield Element("libxc", kind, libxc_v2.NAMES.get(kind) or f"{kind:#x}", offset, end - offset, body, length)
        skip(end - body)
        if kind == libxc_v2.END:
            return end
        offset = end


def _header(layer: str, name: str, offset: int, size: int) -> Element:
    return Element(layer, NO_RECORD, name, offset, size, offset, size)
