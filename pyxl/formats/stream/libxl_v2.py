"""libxl stream, version 2: the header and records around libxc's stream.

Spec: xen-spec.md 2.  Knows bytes and records; does not know device models or xenstore.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from pyxl.errors import BadRecord
from pyxl.formats.stream import record

HEADER = struct.Struct(">QII")  # big-endian whatever the host
IDENT = int.from_bytes(b"LibxlFmt", "big")
VERSION = 2
OPTION_BIG_ENDIAN = 1
OPTION_LEGACY = 2  # it was converted from a legacy stream
KNOWN_OPTIONS = OPTION_BIG_ENDIAN | OPTION_LEGACY

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
#: The others belong to checkpointed streams, which no plain restore takes.
RESTORABLE = (END, LIBXC_CONTEXT, EMULATOR_XENSTORE_DATA, EMULATOR_CONTEXT)

EMULATOR = struct.Struct("<II")  # emulator id, index
EMULATOR_UNKNOWN = 0
EMULATOR_QEMU_TRADITIONAL = 1
EMULATOR_QEMU_UPSTREAM = 2
EMULATORS = {
    EMULATOR_UNKNOWN: "unknown", EMULATOR_QEMU_TRADITIONAL: "qemu-traditional", EMULATOR_QEMU_UPSTREAM: "qemu-upstream",
}  # fmt: skip
STATE = struct.Struct("<I")


class XenstoreData(NamedTuple):
    """A device model's xenstore keys, relative to its directory, in the order of the record."""

    emulator: int
    pairs: tuple[tuple[str, str], ...]
    emulator_index: int = 0


class EmulatorContext(NamedTuple):
    emulator: int
    state: bytes
    emulator_index: int = 0


def start() -> bytes:
    """Return the stream's header and the LIBXC_CONTEXT record: libxc's own stream follows at once."""
    return HEADER.pack(IDENT, VERSION, 0) + record.encode(LIBXC_CONTEXT)


def emulator_xenstore_data(emulator: int, pairs: Iterable[tuple[str, str]], index: int = 0) -> bytes:
    """Return the record that carries a device model's xenstore keys, relative to its directory."""
    body = b"".join(f"{key}\0{value}\0".encode(errors="surrogateescape") for key, value in pairs)
    return record.encode(EMULATOR_XENSTORE_DATA, EMULATOR.pack(emulator, index) + body)


def emulator_context(emulator: int, state: bytes, index: int = 0) -> bytes:
    """Return the record that carries a device model's saved state."""
    return record.encode(EMULATOR_CONTEXT, EMULATOR.pack(emulator, index) + state)


def checkpoint_state(state: int) -> bytes:
    """Return the record by which two toolstacks keep a checkpointed stream in step."""
    return record.encode(CHECKPOINT_STATE, STATE.pack(state))


def end() -> bytes:
    """Return the record that closes the stream."""
    return record.encode(END)


def decode_emulator(body: bytes, offset: int) -> tuple[int, int]:
    """Return emulator id and index, with which both emulator records begin; ``offset`` is where the body starts.

    :raise BadRecord: the body is shorter than that.
    """
    if len(body) < EMULATOR.size:
        raise BadRecord(f"emulator record of {len(body)} bytes", offset)
    emulator, index = EMULATOR.unpack_from(body)
    return emulator, index


def decode_xenstore_data(body: bytes, offset: int) -> XenstoreData:
    """Return what an EMULATOR_XENSTORE_DATA body that starts at ``offset`` holds.

    :raise BadRecord: it is too short, or not pairs of a relative path and a value, each with a NUL.
    """
    emulator, index = decode_emulator(body, offset)
    *strings, rest = bytes(body[EMULATOR.size :]).decode(errors="surrogateescape").split("\0")
    if rest or len(strings) % 2:
        raise BadRecord("emulator's xenstore data are not pairs of strings", offset)
    for key in strings[::2]:
        if not key or key.startswith("/"):
            raise BadRecord(f"emulator's xenstore key {key!r}", offset)
    return XenstoreData(emulator, tuple(zip(strings[::2], strings[1::2], strict=True)), index)


def decode_emulator_context(body: bytes, offset: int) -> EmulatorContext:
    """Return what an EMULATOR_CONTEXT body that starts at ``offset`` holds.

    :raise BadRecord: it is too short.
    """
    emulator, index = decode_emulator(body, offset)
    return EmulatorContext(emulator, bytes(body[EMULATOR.size :]), index)


def decode_checkpoint_state(body: bytes, offset: int) -> int:
    """Return what a CHECKPOINT_STATE body that starts at ``offset`` holds.

    :raise BadRecord: it has another length.
    """
    if len(body) != STATE.size:
        raise BadRecord(f"CHECKPOINT_STATE of {len(body)} bytes", offset)
    return int(STATE.unpack(body)[0])
