"""libxl stream, version 2: the header and records around libxc's stream.

Spec: xen-spec.md 2.  Knows bytes and records; does not know device models or xenstore.
"""

import struct
from collections.abc import Iterable

from pyxl.errors import BadHeader, BadRecord, UnsupportedStream
from pyxl.formats import libxc_v2, record
from pyxl.formats.record import Skip, Take

HEADER = struct.Struct(">QII")  # big-endian whatever the host
IDENT = int.from_bytes(b"LibxlFmt", "big")
VERSION = 2
OPTION_BIG_ENDIAN = 1

END = 0
LIBXC_CONTEXT = 1
EMULATOR_XENSTORE_DATA = 2
EMULATOR_CONTEXT = 3
NAMES = {END: "END", LIBXC_CONTEXT: "LIBXC_CONTEXT", EMULATOR_XENSTORE_DATA: "EMULATOR_XENSTORE_DATA",
         EMULATOR_CONTEXT: "EMULATOR_CONTEXT"}  # fmt: skip

EMULATOR = struct.Struct("<II")  # emulator id, index
EMULATOR_QEMU_TRADITIONAL = 1
EMULATOR_QEMU_UPSTREAM = 2


def start() -> bytes:
    """Return the stream's header and the LIBXC_CONTEXT record: libxc's own stream follows at once."""
    return HEADER.pack(IDENT, VERSION, 0) + record.encode(LIBXC_CONTEXT)


def emulator_xenstore_data(emulator: int, pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return the record that carries a device model's xenstore keys, relative to its directory."""
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in pairs)
    return record.encode(EMULATOR_XENSTORE_DATA, EMULATOR.pack(emulator, 0) + body)


def emulator_context(emulator: int, state: bytes) -> bytes:
    """Return the record that carries a device model's saved state."""
    return record.encode(EMULATOR_CONTEXT, EMULATOR.pack(emulator, 0) + state)


def end() -> bytes:
    """Return the record that closes the stream."""
    return record.encode(END)


def walk(take: Take, skip: Skip, offset: int) -> int:
    """Pass over a whole stream by its record headers and return the offset behind END.

    ``offset`` is where the stream starts in the file.  Reads no page.

    :raise StreamError: the stream ends early or holds what stock restore would refuse.
    """
    ident, version, options = HEADER.unpack(take(HEADER.size))
    if ident != IDENT:
        raise BadHeader("libxl stream without its ident", offset)
    if version != VERSION:
        raise UnsupportedStream(f"libxl stream version {version}", offset + 8)
    if options & OPTION_BIG_ENDIAN:
        raise UnsupportedStream("big-endian libxl stream", offset + 12)
    offset += HEADER.size
    seen_memory = False
    while True:
        kind, length = record.read_header(take, offset)
        if kind not in NAMES:
            raise UnsupportedStream(f"libxl record type {kind:#x}", offset)
        if kind == LIBXC_CONTEXT and (length or seen_memory):
            raise BadRecord("LIBXC_CONTEXT with a body, or for the second time", offset)
        if kind != LIBXC_CONTEXT and not seen_memory:
            raise BadRecord(f"{NAMES[kind]} before LIBXC_CONTEXT", offset)
        skip(length + record.padding(length))
        offset += record.HEADER.size + length + record.padding(length)
        if kind == END:
            return offset
        if kind == LIBXC_CONTEXT:
            seen_memory = True
            offset = libxc_v2.walk(take, skip, offset)
