"""A strict check of a record's body: its length, its reserved bits, and values that no reader takes.

Spec: README.md of this folder.  Knows one body at a time; does not know which records come before or after it.
"""

from collections.abc import Callable, Iterator

from pyxl.errors import BadRecord
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.hvm import params as hvm_params
from pyxl.formats.hvm.loadable import OPEN_ENDED
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS, Remark
from pyxl.formats.stream.libxc_records import HEAD, PAGE_SIZE, PARAM, WORD
from pyxl.formats.stream.record import Take
from pyxl.formats.stream.walk import Element
from pyxl.model import releases

#: Bytes of a body that are read at once; a longer record is not checked, unless it has pages.
CHUNK = 4 << 20
#: No processor has a pfn of more bits.
_PFN_BITS = 40

_MUST_BE_EMPTY = {
    "libxl": {libxl_v2.END},
    "libxc": {libxc_v2.END, libxc_v2.VERIFY, libxc_v2.STATIC_DATA_END},
}
#: Records whose check knows more about their length than whether it is possible.
_OWN_LENGTH = (libxc_v2.PAGE_DATA, libxc_v2.X86_PV_INFO)
#: Sizes of a vcpu's basic state by the guest's width: 64 and 32 bits.
_BASIC_SIZES = (5168, 2800)
_MAX_EXTENDED = 128
_MIN_XSAVE = 16
_NO_XEN = "no Xen up to {}.{}".format(*releases.NEWEST)
_VCPU_MSR = 16

# A page's word is little-endian: its last byte has the type above reserved bits, the byte before it reserved
# bits on top.  So whole arrays are checked without making a number of each word.
_TOPS = range(256)
_KNOWN = bytes(top for top in _TOPS if top >> 4 in libxc_records.PAGE_TYPES)
_WITH_DATA = bytes(top for top in _TOPS if top >> 4 in libxc_records.WITH_DATA)
_NO_RESERVED = bytes(top for top in _TOPS if not top & 0xF)


def remarks(element: Element, read: Take) -> Iterator[Remark]:
    """Yield what is wrong with a record's body; ``read`` returns its next bytes, some of which may stay unread.

    :raise TruncatedStream: the file ends within.
    """
    length = element.length
    if element.kind in _MUST_BE_EMPTY.get(element.layer, ()) and length:
        yield Remark("empty", SUSPICIOUS, f"{length} bytes where there should be none")
    try:
        if element.layer == "libxc" and element.kind not in _OWN_LENGTH:
            libxc_records.check_length(element.kind, length, element.body)
        if check := _CHECKS.get((element.layer, element.kind)):
            yield from check(element, read)
    except BadRecord as error:
        yield Remark("record", BROKEN, error.what)


def _page_data(element: Element, read: Take) -> Iterator[Remark]:
    head = read(min(HEAD.size, element.length))
    size = libxc_records.page_head_size(head, element.length, element.body)
    count, reserved = HEAD.unpack(head)
    if reserved:
        yield Remark("reserved", SUSPICIOUS, f"reserved field is {reserved:#x}")
    pages, found = 0, set[Remark]()
    for start in range(HEAD.size, size, CHUNK):
        words = read(min(CHUNK, size - start))
        tops = words[7::8]
        pages += len(tops) - len(tops.translate(None, _WITH_DATA))
        found.update(_word_remarks(words, tops))
    yield from sorted(found, key=lambda remark: remark.rule)
    if size + pages * PAGE_SIZE != element.length:
        text = f"{count} pfns and {pages} pages make {size + pages * PAGE_SIZE} bytes, not {element.length}"
        yield Remark("record", BROKEN, text)


def _word_remarks(words: bytes, tops: bytes) -> Iterator[Remark]:
    if unknown := tops.translate(None, _KNOWN):
        yield Remark("page-type", BROKEN, f"pages of type {unknown[0] >> 4:#x}, which does not exist")
    sixths = words[6::8]
    if tops.translate(None, _NO_RESERVED) or any(byte >> 4 for byte in set(sixths)):
        yield Remark("reserved", SUSPICIOUS, "reserved bits of a pfn are set")
    if any(byte & 0xF for byte in set(sixths)) or words[_PFN_BITS // 8 :: 8].strip(b"\0"):
        yield Remark("pfn", SUSPICIOUS, f"a pfn of more than {_PFN_BITS} bits")


def _pv_info(element: Element, read: Take) -> Iterator[Remark]:
    size = libxc_records.PV_INFO.size
    if element.length > size:
        yield Remark("length", SUSPICIOUS, f"{element.length} bytes, not {size}")
    info = libxc_records.decode(element.kind, read(min(size, element.length)), element.body)
    assert isinstance(info, libxc_records.PvInfo)
    if (info.width, info.levels) not in ((4, 3), (8, 4)):
        yield Remark("value", BROKEN, f"guest width {info.width} with {info.levels} levels of page tables")
    if info.reserved or info.reserved2:
        yield Remark("reserved", SUSPICIOUS, f"reserved fields are {info.reserved:#x} and {info.reserved2:#x}")


def _vcpu_blob(element: Element, read: Take) -> Iterator[Remark]:
    vcpu, reserved = HEAD.unpack(read(HEAD.size))
    if reserved:
        yield Remark("reserved", SUSPICIOUS, f"reserved field is {reserved:#x}")
    size = element.length - HEAD.size
    if not size:
        yield Remark("empty", SUSPICIOUS, f"nothing of vcpu {vcpu}")
    elif not {
        libxc_v2.X86_PV_VCPU_BASIC: size in _BASIC_SIZES, libxc_v2.X86_PV_VCPU_EXTENDED: size <= _MAX_EXTENDED,
        libxc_v2.X86_PV_VCPU_XSAVE: size >= _MIN_XSAVE, libxc_v2.X86_PV_VCPU_MSRS: size % _VCPU_MSR == 0,
    }[element.kind]:  # fmt: skip
        yield Remark("record", BROKEN, f"{size} bytes of vcpu {vcpu}")


def _p2m_frames(element: Element, read: Take) -> Iterator[Remark]:
    start, end = HEAD.unpack(read(HEAD.size))
    frames = (element.length - HEAD.size) // WORD.size
    # A frame holds 512 entries of a 64-bit guest's p2m, 1024 of a 32-bit one's.
    if start > end or frames not in (end // 512 - start // 512 + 1, end // 1024 - start // 1024 + 1):
        yield Remark("record", BROKEN, f"{frames} frames for pfns {start:#x} to {end:#x}")


def _tsc_info(element: Element, read: Take) -> Iterator[Remark]:
    info = libxc_records.decode(element.kind, read(element.length), element.body)
    assert isinstance(info, libxc_records.TscInfo)
    if info.reserved:
        yield Remark("reserved", SUSPICIOUS, f"reserved field is {info.reserved:#x}")


def _hvm_params(element: Element, read: Take) -> Iterator[Remark]:
    count, reserved = HEAD.unpack(read(HEAD.size))
    if element.length != HEAD.size + count * PARAM.size:
        raise BadRecord(f"{count} HVM params in {element.length} bytes", element.body)
    if reserved:
        yield Remark("reserved", SUSPICIOUS, f"reserved field is {reserved:#x}")
    if not count:
        yield Remark("empty", SUSPICIOUS, "no params")
    for index, _ in PARAM.iter_unpack(read(min(count, len(hvm_params.NAMES)) * PARAM.size)):
        if index not in hvm_params.NAMES:
            yield Remark("value", SUSPICIOUS, f"HVM param {index}, which does not exist")


def _hvm_context(element: Element, read: Take) -> Iterator[Remark]:
    if element.length > CHUNK:
        yield Remark("length", SUSPICIOUS, f"{element.length} bytes, more than any context has")
        return
    end = 0
    for entry in hvm_context.decode(read(element.length), element.body):
        if not end and not _is_header(entry):
            yield Remark("context", BROKEN, "the context does not begin with Xen's header")
        end = entry.offset + hvm_context.DESCRIPTOR.size + len(entry.body)
        if entry.typecode not in hvm_context.LAYOUTS:
            yield Remark("context", SUSPICIOUS, f"entry of type {entry.typecode}, which {_NO_XEN} knows")
        elif entry.typecode not in OPEN_ENDED and len(entry.body) > hvm_context.LAYOUTS[entry.typecode].size:
            yield Remark("context", SUSPICIOUS, f"entry {entry.name} {entry.instance} of {len(entry.body)} bytes")
    if end != element.length:
        yield Remark("context", SUSPICIOUS, f"{element.length - end} bytes behind the context's END")


def _is_header(entry: hvm_context.Entry) -> bool:
    values = hvm_context.fields(entry) if entry.typecode == hvm_context.HEADER else {}
    return (values.get("magic"), values.get("version")) == (hvm_context.MAGIC, hvm_context.VERSION)


def _policy(element: Element, read: Take) -> Iterator[Remark]:
    if not element.length:
        yield Remark("record", BROKEN, "an empty policy")


def _emulator(element: Element, read: Take) -> Iterator[Remark]:
    emulator, _ = libxl_v2.decode_emulator(read(min(libxl_v2.EMULATOR.size, element.length)), element.body)
    if emulator not in libxl_v2.EMULATORS:
        yield Remark("value", SUSPICIOUS, f"emulator {emulator}, which does not exist")


def _xenstore_data(element: Element, read: Take) -> Iterator[Remark]:
    if element.length > CHUNK // 4:
        yield Remark("length", SUSPICIOUS, f"{element.length} bytes, more than any device model has in xenstore")
        return
    data = libxl_v2.decode_xenstore_data(read(element.length), element.body)
    if data.emulator not in libxl_v2.EMULATORS:
        yield Remark("value", SUSPICIOUS, f"emulator {data.emulator}, which does not exist")


_CHECKS: dict[tuple[str, int], Callable[[Element, Take], Iterator[Remark]]] = {
    ("libxl", libxl_v2.EMULATOR_XENSTORE_DATA): _xenstore_data,
    ("libxl", libxl_v2.EMULATOR_CONTEXT): _emulator,
    ("libxc", libxc_v2.PAGE_DATA): _page_data,
    ("libxc", libxc_v2.X86_PV_INFO): _pv_info,
    ("libxc", libxc_v2.X86_PV_P2M_FRAMES): _p2m_frames,
    ("libxc", libxc_v2.X86_TSC_INFO): _tsc_info,
    ("libxc", libxc_v2.HVM_CONTEXT): _hvm_context,
    ("libxc", libxc_v2.HVM_PARAMS): _hvm_params,
    ("libxc", libxc_v2.X86_CPUID_POLICY): _policy,
    ("libxc", libxc_v2.X86_MSR_POLICY): _policy,
    **{("libxc", kind): _vcpu_blob for kind in libxc_records.VCPU_BLOBS},
}
