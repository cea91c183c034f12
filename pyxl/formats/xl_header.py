"""The header of an xl checkpoint file, and the guest's config inside it.

Spec: xen-spec.md 1.1 and 1.2.  Knows bytes; does not know what the config says.
"""

import struct
from dataclasses import dataclass

from pyxl.errors import BadHeader, TruncatedStream, UnsupportedStream
from pyxl.formats.record import Take

MAGIC = b"Xen saved domain, xl format\n \x00 \r"
BYTE_ORDER = 0x01020304
FLAG_JSON = 1
FLAG_STREAM_V2 = 2
KNOWN_FLAGS = FLAG_JSON | FLAG_STREAM_V2
HEADER = struct.Struct("<32sIIII")
LENGTH = struct.Struct("<I")
#: A config is some 2 KiB; a larger claim than this is a bad or hostile file, not a guest.
MAX_OPTIONAL = 4 << 20


@dataclass(frozen=True, slots=True)
class XlHeader:
    """What stands before the stream.

    ``config`` is without its terminating NUL: JSON when ``is_json``, else xl.cfg text, empty when none was saved.
    ``size`` is the offset of the first stream byte.
    """

    flags: int
    config: bytes
    size: int

    @property
    def is_json(self) -> bool:
        return bool(self.flags & FLAG_JSON)

    @property
    def is_v2(self) -> bool:
        return bool(self.flags & FLAG_STREAM_V2)


def encode(config_json: bytes) -> bytes:
    """Return the header with a JSON config, as every xl since 4.6 writes it.

    The config's NUL is part of its length: stock xl reads on past a config that lacks it.
    """
    block = LENGTH.pack(len(config_json) + 1) + config_json + b"\0"
    return HEADER.pack(MAGIC, BYTE_ORDER, KNOWN_FLAGS, 0, len(block)) + block


def parse(take: Take) -> XlHeader:
    """Read the header and its config, leaving the first stream byte unread.

    :raise BadHeader: not an xl checkpoint, or one of a big-endian host.
    :raise UnsupportedStream: a mandatory flag that no known xl writes.
    :raise TruncatedStream: the file ends within, or the config is longer than its block.
    """
    magic, order, mandatory, _optional, length = HEADER.unpack(take(HEADER.size))
    if magic != MAGIC:
        raise BadHeader("not a checkpoint: xl's magic is missing", 0)
    if order != BYTE_ORDER:
        raise BadHeader(f"byte order {order:#010x}, expected {BYTE_ORDER:#010x}", 32)
    if mandatory & ~KNOWN_FLAGS:
        raise UnsupportedStream(f"unknown mandatory flags {mandatory & ~KNOWN_FLAGS:#x}", 36)
    if length > MAX_OPTIONAL:
        raise BadHeader(f"config block claims {length} bytes", 44)
    block = take(length)
    config = b""
    if block:
        if len(block) < LENGTH.size:
            raise TruncatedStream("config block is too short for a length", HEADER.size)
        (config_length,) = LENGTH.unpack_from(block)
        if config_length > len(block) - LENGTH.size:
            raise TruncatedStream("config is longer than its block", HEADER.size)
        config = block[LENGTH.size : LENGTH.size + config_length].rstrip(b"\0")
    return XlHeader(mandatory, config, HEADER.size + length)
