"""Bodies of the records in a libxc stream, to objects and back: byte for byte, reserved fields included.

Spec: README.md of this folder.  Knows layouts; does not read pages, nor blobs that only Xen understands.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from pyxl.errors import BadRecord
from pyxl.formats.stream import libxc_v2, record
from pyxl.formats.stream.cpu_policy import ENTRY, LEAF

PAGE_SIZE = 4096
HEAD = struct.Struct("<II")  # count, start or vcpu; reserved or end
PV_INFO = struct.Struct("<BBHI")
TSC_INFO = struct.Struct("<IIQII")
PARAM = struct.Struct("<QQ")
WORD = struct.Struct("<Q")

PFN_MASK = (1 << 52) - 1
TYPE_SHIFT = 60
BROKEN, XALLOC, XTAB = 0xD, 0xE, 0xF
PAGE_TYPES = {
    0x0: "RAM", 0x1: "L1", 0x2: "L2", 0x3: "L3", 0x4: "L4", 0x9: "L1-pinned", 0xA: "L2-pinned", 0xB: "L3-pinned",
    0xC: "L4-pinned", BROKEN: "broken", XALLOC: "allocated", XTAB: "absent",
}  # fmt: skip
#: Types whose pages are in the record.
WITH_DATA = frozenset(PAGE_TYPES) - {BROKEN, XALLOC, XTAB}


class PageData(NamedTuple):
    """The head of a PAGE_DATA record: a word for each page, its pfn in the low bits, its type in the high ones."""

    words: tuple[int, ...]
    reserved: int = 0

    @property
    def size(self) -> int:
        """How long the body is, its pages included."""
        pages = sum(word >> TYPE_SHIFT in WITH_DATA for word in self.words)
        return HEAD.size + WORD.size * len(self.words) + PAGE_SIZE * pages

    def pages(self) -> Iterator[tuple[int, int, int | None]]:
        """Yield (pfn, type, offset of its page in the body) for each word; no offset (None) without a page."""
        at = HEAD.size + WORD.size * len(self.words)
        for word in self.words:
            kind = word >> TYPE_SHIFT
            has_data = kind in WITH_DATA
            yield word & PFN_MASK, kind, at if has_data else None
            at += PAGE_SIZE * has_data


class PvInfo(NamedTuple):
    width: int
    levels: int
    reserved: int = 0
    reserved2: int = 0


class P2mFrames(NamedTuple):
    """The pfns of the frames that hold the guest's p2m for ``start`` to ``end``, the last included."""

    start: int
    end: int
    frames: tuple[int, ...]


class VcpuBlob(NamedTuple):
    """State of one vcpu of a PV guest, as Xen keeps it."""

    vcpu: int
    blob: bytes
    reserved: int = 0


class TscInfo(NamedTuple):
    """``mode`` is tsc_mode's number; ``nsec`` is the guest's TSC in nanoseconds."""

    mode: int
    khz: int
    nsec: int
    incarnation: int
    reserved: int = 0


class HvmParams(NamedTuple):
    """(index, value) in the order of the record."""

    params: tuple[tuple[int, int], ...]
    reserved: int = 0


class DirtyPfns(NamedTuple):
    pfns: tuple[int, ...]


class Leaf(NamedTuple):
    leaf: int
    subleaf: int
    eax: int
    ebx: int
    ecx: int
    edx: int


class CpuidPolicy(NamedTuple):
    leaves: tuple[Leaf, ...]


class MsrEntry(NamedTuple):
    msr: int
    flags: int
    value: int


class MsrPolicy(NamedTuple):
    entries: tuple[MsrEntry, ...]


#: An empty or opaque body, or one of an unknown type, is just bytes.
Body: TypeAlias = PvInfo | P2mFrames | VcpuBlob | TscInfo | HvmParams | DirtyPfns | CpuidPolicy | MsrPolicy | bytes

VCPU_BLOBS = (
    libxc_v2.X86_PV_VCPU_BASIC, libxc_v2.X86_PV_VCPU_EXTENDED, libxc_v2.X86_PV_VCPU_XSAVE, libxc_v2.X86_PV_VCPU_MSRS,
)  # fmt: skip
_EXACT = {libxc_v2.X86_PV_INFO: PV_INFO.size, libxc_v2.X86_TSC_INFO: TSC_INFO.size, libxc_v2.SHARED_INFO: PAGE_SIZE}
#: Type -> (bytes before its entries, bytes of an entry).
_ENTRIES = {
    libxc_v2.X86_PV_P2M_FRAMES: (HEAD.size, WORD.size), libxc_v2.HVM_PARAMS: (HEAD.size, PARAM.size),
    libxc_v2.CHECKPOINT_DIRTY_PFN_LIST: (0, WORD.size), libxc_v2.X86_CPUID_POLICY: (0, LEAF.size),
    libxc_v2.X86_MSR_POLICY: (0, ENTRY.size), **dict.fromkeys(VCPU_BLOBS, (HEAD.size, 1)),
}  # fmt: skip


def check_length(kind: int, length: int, offset: int) -> None:
    """Check that a record other than PAGE_DATA can have a body of this length; ``offset`` is where it starts.

    :raise BadRecord: it cannot.
    """
    if kind in _EXACT and length != _EXACT[kind]:
        raise BadRecord(f"{libxc_v2.NAMES[kind]} of {length} bytes, not {_EXACT[kind]}", offset)
    head, entry = _ENTRIES.get(kind, (0, 1))
    if length < head or (length - head) % entry:
        raise BadRecord(f"{libxc_v2.NAMES[kind]} of {length} bytes", offset)


def decode(kind: int, body: bytes, offset: int) -> Body:
    """Return what the body of a record other than PAGE_DATA holds; ``offset`` is where it starts, for the error.

    :raise BadRecord: the body's length is impossible, or differs from its count.
    """
    check_length(kind, len(body), offset)
    match kind:
        case libxc_v2.X86_PV_INFO:
            return PvInfo(*PV_INFO.unpack(body))
        case libxc_v2.X86_PV_P2M_FRAMES:
            start, end = HEAD.unpack_from(body)
            return P2mFrames(start, end, _words(body, HEAD.size))
        case kind if kind in VCPU_BLOBS:
            vcpu, reserved = HEAD.unpack_from(body)
            return VcpuBlob(vcpu, bytes(body[HEAD.size :]), reserved)
        case libxc_v2.X86_TSC_INFO:
            return TscInfo(*TSC_INFO.unpack(body))
        case libxc_v2.HVM_PARAMS:
            count, reserved = HEAD.unpack_from(body)
            if len(body) != HEAD.size + PARAM.size * count:
                raise BadRecord(f"{count} HVM params in {len(body)} bytes", offset)
            return HvmParams(tuple(PARAM.iter_unpack(body[HEAD.size :])), reserved)
        case libxc_v2.CHECKPOINT_DIRTY_PFN_LIST:
            return DirtyPfns(_words(body, 0))
        case libxc_v2.X86_CPUID_POLICY:
            return CpuidPolicy(tuple(Leaf(*words) for words in LEAF.iter_unpack(body)))
        case libxc_v2.X86_MSR_POLICY:
            return MsrPolicy(tuple(MsrEntry(*words) for words in ENTRY.iter_unpack(body)))
    return bytes(body)


def encode(kind: int, body: Body) -> bytes:
    """Return the whole record."""
    match body:
        case PvInfo():
            data = PV_INFO.pack(*body)
        case P2mFrames(start, end, frames):
            data = HEAD.pack(start, end) + _pack_words(frames)
        case VcpuBlob(vcpu, blob, reserved):
            data = HEAD.pack(vcpu, reserved) + blob
        case TscInfo():
            data = TSC_INFO.pack(*body)
        case HvmParams(params, reserved):
            data = HEAD.pack(len(params), reserved) + b"".join(PARAM.pack(*param) for param in params)
        case DirtyPfns(pfns):
            data = _pack_words(pfns)
        case CpuidPolicy(leaves):
            data = b"".join(LEAF.pack(*leaf) for leaf in leaves)
        case MsrPolicy(entries):
            data = b"".join(ENTRY.pack(*entry) for entry in entries)
        case _:
            data = body
    return record.encode(kind, data)


def page_head_size(body: bytes, length: int, offset: int) -> int:
    """Return how many bytes precede the pages of a PAGE_DATA body of ``length``, given its first 8.

    :raise BadRecord: its count is impossible.
    """
    if len(body) < HEAD.size:
        raise BadRecord(f"PAGE_DATA of {length} bytes", offset)
    count, _ = HEAD.unpack_from(body)
    size = HEAD.size + WORD.size * int(count)
    if not count or size > length:
        raise BadRecord(f"{count} pfns in {length} bytes of PAGE_DATA", offset)
    return size


def decode_pages(head: bytes) -> PageData:
    """Decode the first ``page_head_size`` bytes of a PAGE_DATA body."""
    _, reserved = HEAD.unpack_from(head)
    return PageData(_words(head, HEAD.size), reserved)


def encode_page_head(pages: PageData) -> bytes:
    """Return a PAGE_DATA record up to its pages, which need no padding after them."""
    head = record.HEADER.pack(libxc_v2.PAGE_DATA, pages.size)
    return head + HEAD.pack(len(pages.words), pages.reserved) + _pack_words(pages.words)


def _words(body: bytes, start: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{(len(body) - start) // WORD.size}Q", body, start)


def _pack_words(words: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(words)}Q", *words)
