"""libxl stream, version 2: the header and records around libxc's stream.

Spec: xen-spec.md 2.  Knows bytes and records; does not know device models or xenstore.
"""

import struct
from collections.abc import Iterable

from pyxl.formats import record

HEADER = struct.Struct(">QII")  # big-endian whatever the host
IDENT = int.from_bytes(b"LibxlFmt", "big")
VERSION = 2
OPTION_BIG_ENDIAN = 1

END = 0
LIBXC_CONTEXT = 1
EMULATOR_XENSTORE_DATA = 2
EMULATOR_CONTEXT = 3
CHECKPOINT_END = 4
CHECKPOINT_STATE = 5
NAMES = {
    END: "END", LIBXC_CONTEXT: "LIBXC_CONTEXT", EMULATOR_XENSTORE_DATA: "EMULATOR_XENSTORE_DATA",
    EMULATOR_CONTEXT: "EMULATOR_CONTEXT", CHECKPOINT_END: "CHECKPOINT_END", CHECKPOINT_STATE: "CHECKPOINT_STATE",
}  # fmt: skip
#: The others belong to streams of many checkpoints, which no plain restore takes.
RESTORABLE = (END, LIBXC_CONTEXT, EMULATOR_XENSTORE_DATA, EMULATOR_CONTEXT)

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
