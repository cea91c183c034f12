"""libxc stream, version 2: a domain's memory and vcpus, as far as its record headers.

Spec: xen-spec.md 3.  Knows headers, types and lengths; does not look into pages or vcpus.
"""

import struct

from pyxl.errors import BadHeader, UnsupportedStream
from pyxl.formats import record
from pyxl.formats.record import Skip, Take

IMAGE = struct.Struct(">QIIHHI")  # marker, id, version, options, reserved: big-endian whatever the host
DOMAIN = struct.Struct("<IHHII")  # type, page shift, reserved, Xen major, Xen minor
MARKER = 0xFFFF_FFFF_FFFF_FFFF
IDENT = 0x58454E46
VERSIONS = (2, 3)
OPTION_BIG_ENDIAN = 1
TYPE_PV = 1
TYPE_HVM = 2
PAGE_SHIFT = 12

END = 0x00
VERIFY = 0x0D
LAST_KNOWN = 0x12
UNREADABLE = {0x0B: "TOOLSTACK", 0x0E: "CHECKPOINT", 0x0F: "CHECKPOINT_DIRTY_PFN_LIST"}
OPTIONAL = 0x8000_0000


def walk(take: Take, skip: Skip, offset: int) -> int:
    """Pass over a whole stream by its record headers and return the offset behind END.

    ``offset`` is where the stream starts in the file.  Reads no page.

    :raise StreamError: the stream ends early or holds what stock restore would refuse.
    """
    marker, ident, version, options, _, _ = IMAGE.unpack(take(IMAGE.size))
    if marker != MARKER or ident != IDENT:
        raise BadHeader("libxc stream without its marker", offset)
    if version not in VERSIONS:
        raise UnsupportedStream(f"libxc stream version {version}", offset + 12)
    if options & OPTION_BIG_ENDIAN:
        raise UnsupportedStream("big-endian libxc stream", offset + 16)
    offset += IMAGE.size
    kind, shift, _, _, _ = DOMAIN.unpack(take(DOMAIN.size))
    if kind not in (TYPE_PV, TYPE_HVM) or shift != PAGE_SHIFT:
        raise UnsupportedStream(f"domain type {kind} with page shift {shift}", offset)
    offset += DOMAIN.size
    while True:
        kind, length = record.read_header(take, offset)
        if kind in UNREADABLE:
            raise UnsupportedStream(f"libxc record {UNREADABLE[kind]}, which no plain restore takes", offset)
        if kind > LAST_KNOWN and not kind & OPTIONAL:
            raise UnsupportedStream(f"libxc record type {kind:#x}", offset)
        skip(length + record.padding(length))
        offset += record.HEADER.size + length + record.padding(length)
        if kind == END:
            return offset
