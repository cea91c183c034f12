"""A strict check of a whole v2 stream, in one pass.

Spec: README.md of this folder.  Knows the order of records and all that is around bodies; verify_bodies knows
bodies.  Does not know files, or the sums of a trailer.
"""

import json
from collections.abc import Generator, Iterator

from pyxl.errors import BadHeader, BadRecord, StreamError, TruncatedStream
from pyxl.formats.stream import libxc_v2, libxl_v2, verify_bodies, walk, xl_header
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS, Finding, Remark
from pyxl.formats.stream.record import Skip, Take
from pyxl.formats.stream.walk import Element
from pyxl.formats.stream.xl_header import XlHeader

#: The rule of each error that ends a walk; any other error is about something that this pyxl does not know.
_FRAMING = {TruncatedStream: "cut", BadHeader: "header", BadRecord: "record"}
_HVM_ONLY = {libxc_v2.HVM_CONTEXT, libxc_v2.HVM_PARAMS}
_PV_ONLY = {
    libxc_v2.X86_PV_INFO, libxc_v2.X86_PV_P2M_FRAMES, libxc_v2.X86_PV_VCPU_BASIC, libxc_v2.X86_PV_VCPU_EXTENDED,
    libxc_v2.X86_PV_VCPU_XSAVE, libxc_v2.X86_PV_VCPU_MSRS, libxc_v2.SHARED_INFO,
}  # fmt: skip
_MEMORY = {libxc_v2.PAGE_DATA, libxc_v2.X86_PV_P2M_FRAMES}
_NEEDS_PV_INFO = {libxc_v2.X86_PV_P2M_FRAMES, libxc_v2.SHARED_INFO}
_POLICIES = {libxc_v2.X86_CPUID_POLICY, libxc_v2.X86_MSR_POLICY}
_STATIC = _POLICIES | {libxc_v2.STATIC_DATA_END}
_REFUSED_TWICE = {libxc_v2.X86_PV_INFO, libxc_v2.STATIC_DATA_END}
_ONCE = _STATIC | _REFUSED_TWICE | {libxc_v2.HVM_CONTEXT, libxc_v2.X86_TSC_INFO, libxc_v2.SHARED_INFO}
_EMULATOR_RECORDS = {libxl_v2.EMULATOR_XENSTORE_DATA, libxl_v2.EMULATOR_CONTEXT}


def broken_by(error: StreamError, record_: str) -> Finding:
    """Return the finding for an error of the framing."""
    return Finding(error.offset, record_, _FRAMING.get(type(error), "unsupported"), BROKEN, error.what)


def findings(header: XlHeader, take: Take, skip: Skip) -> Generator[Finding, None, int | None]:
    """Yield all that is wrong with a v2 stream and the header before it, and return the offset behind END.

    ``take`` and ``skip`` start behind the header.  If the framing is broken, that is the last finding, and the result
    is None.  Pages are skipped; of anything else at most ``verify_bodies.CHUNK`` bytes are in memory at once.
    """
    order, reader = _Order(), _Reader(take, skip)
    *_, last = walk.header_elements(header)
    yield from (Finding(0, "xl HEADER", *remark) for remark in _of_header(header))
    try:
        for last in walk.stream(reader.take, reader.skip, header.size):
            is_record = last.kind != walk.NO_RECORD
            remarks = _of_record(last, order, reader) if is_record else order.of_header(last, reader.taken)
            yield from (Finding(last.offset, last.title, *remark) for remark in remarks)
    except StreamError as error:
        yield broken_by(error, last.title if error.offset < last.end else f"behind {last.title}")
        return None
    return last.end


class _Reader:
    """Give a walk its take and skip, and let a body be read before the walk skips it.

    ``taken`` is what was taken last: a header that was just yielded.
    """

    def __init__(self, take: Take, skip: Skip) -> None:
        self._take, self._skip = take, skip
        self._ahead = 0
        self.taken = b""

    def take(self, length: int) -> bytes:
        self.taken = self._take(length)
        return self.taken

    def skip(self, length: int) -> None:
        self._skip(length - self._ahead)
        self._ahead = 0

    def read(self, length: int) -> bytes:
        """Return the next bytes of the body."""
        data = self._take(length)
        self._ahead += length
        return data

    def read_end(self, at: int, length: int) -> bytes:
        """Return ``length`` bytes from byte ``at`` of the body, which was not read any further."""
        self._skip(at - self._ahead)
        self._ahead = at
        return self.read(length)


class _Order:
    """Knows what has come so far, and so what may come next."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._emulators: set[int] = set()
        self._version = 0
        self._is_hvm = False

    def of_header(self, element: Element, data: bytes) -> Iterator[Remark]:
        """Yield what is wrong with a header of the stream, and note what it says about the records that follow."""
        if element.name == "HEADER":
            reserved = libxl_v2.HEADER.unpack(data)[2] & ~libxl_v2.KNOWN_OPTIONS
        elif element.name == "IMAGE_HEADER":
            _, _, self._version, options, reserved1, reserved2 = libxc_v2.IMAGE.unpack(data)
            reserved = options & ~libxc_v2.OPTION_BIG_ENDIAN | reserved1 | reserved2
        else:
            kind, _, reserved, _, _ = libxc_v2.DOMAIN.unpack(data)
            self._is_hvm = kind == libxc_v2.TYPE_HVM
        if reserved:
            yield Remark("reserved", SUSPICIOUS, "reserved bits are set")

    def of_record(self, element: Element) -> Iterator[Remark]:
        """Yield what is wrong with the place of a record."""
        if element.layer == "libxl":
            yield from self._of_libxl(element.kind)
            return
        kind, seen = element.kind, self._seen
        if kind not in libxc_v2.NAMES:
            yield Remark("unknown", SUSPICIOUS, "an optional record that no known writer makes")
        if kind in _MEMORY and self._version < 3:
            seen.add(libxc_v2.STATIC_DATA_END)  # as readers infer it
        if kind in _PV_ONLY if self._is_hvm else kind in _HVM_ONLY:
            yield Remark("foreign", BROKEN, f"not a record of {'an HVM' if self._is_hvm else 'a PV'} guest")
        if kind in _MEMORY and libxc_v2.STATIC_DATA_END not in seen:
            yield Remark("order", BROKEN, "memory before STATIC_DATA_END")
        if kind in _NEEDS_PV_INFO and libxc_v2.X86_PV_INFO not in seen:
            yield Remark("order", BROKEN, "before X86_PV_INFO")
        if kind in _POLICIES and libxc_v2.STATIC_DATA_END in seen:
            yield Remark("order", SUSPICIOUS, "behind STATIC_DATA_END")
        if kind in _STATIC and self._version < 3:
            yield Remark("order", SUSPICIOUS, f"in a stream of version {self._version}")
        if kind in seen and kind in _ONCE:
            yield Remark("repeated", BROKEN if kind in _REFUSED_TWICE else SUSPICIOUS, "for the second time")
        seen.add(kind)
        if kind == libxc_v2.END:
            yield from self._missing()

    def _of_libxl(self, kind: int) -> Iterator[Remark]:
        if kind not in _EMULATOR_RECORDS:
            return
        if not self._is_hvm:
            yield Remark("foreign", BROKEN, "not a record of a PV guest")
        if kind in self._emulators:
            yield Remark("repeated", SUSPICIOUS, "for the second time")
        self._emulators.add(kind)

    def _missing(self) -> Iterator[Remark]:
        needed = [libxc_v2.HVM_CONTEXT] if self._is_hvm else [libxc_v2.X86_PV_INFO, libxc_v2.X86_PV_VCPU_BASIC]
        for kind in needed:
            if kind not in self._seen:
                yield Remark("missing", BROKEN, f"the stream ends without {libxc_v2.NAMES[kind]}")
        if libxc_v2.PAGE_DATA not in self._seen:
            yield Remark("missing", SUSPICIOUS, "the stream ends without any memory")


def _of_header(header: XlHeader) -> Iterator[Remark]:
    if header.optional_flags:
        yield Remark("reserved", SUSPICIOUS, f"optional flags {header.optional_flags:#x}, which do not exist")
    if not header.config:
        yield Remark("config", SUSPICIOUS, "no config")
    elif header.is_json:
        if header.block[xl_header.LENGTH.size + header.config_length - 1]:
            yield Remark("config", SUSPICIOUS, "the config has no NUL at its end: stock xl reads on past it")
        if not _is_json(header.config):
            yield Remark("config", SUSPICIOUS, "the config is not JSON, as the flags say")
    rest = len(header.block) - xl_header.LENGTH.size - header.config_length
    if header.block and rest and not header.has_marker:
        yield Remark("unknown", SUSPICIOUS, f"{rest} bytes behind the config that are no marker")


def _is_json(config: bytes) -> bool:
    try:
        return isinstance(json.loads(config), dict)
    except (ValueError, RecursionError):
        return False


def _of_record(element: Element, order: _Order, reader: _Reader) -> Iterator[Remark]:
    yield from order.of_record(element)
    yield from verify_bodies.remarks(element, reader.read)
    padding = element.end - element.body - element.length
    if padding and any(reader.read_end(element.length, padding)):
        yield Remark("padding", SUSPICIOUS, "padding is not zero")
