"""The header of an xl checkpoint file, the guest's config inside it, and pyxl's marker behind the config.

Spec: xen-spec.md 1.1 and 1.2, README.md for the marker.  Knows bytes; does not know what the config says.
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
MARKER = struct.Struct("<8sII")  # magic, version, flags
MARKER_MAGIC = b"pyxlmark"
MARKER_VERSION = 1
MARKER_TRAILER = 1  # a trailer stands behind END
#: A config is some 2 KiB; a larger claim than this is a bad or hostile file, not a guest.
MAX_OPTIONAL = 4 << 20


@dataclass(frozen=True, slots=True)
class XlHeader:
    """What stands before the stream.

    ``config`` is without its terminating NUL: JSON when ``is_json``, else xl.cfg text, empty when none was saved;
    ``config_length`` counts the NUL.  ``size`` is the offset of the first stream byte; ``has_marker`` says that pyxl's
    marker ends the header, ``has_trailer`` that it promises a trailer behind END.
    """

    flags: int
    config: bytes
    config_length: int
    size: int
    has_marker: bool = False
    has_trailer: bool = False

    @property
    def is_json(self) -> bool:
        return bool(self.flags & FLAG_JSON)

    @property
    def is_v2(self) -> bool:
        return bool(self.flags & FLAG_STREAM_V2)


def encode(config_json: bytes) -> bytes:
    """Return the header with a JSON config, as every xl since 4.6 writes it, and the marker that promises a trailer.

    The config's NUL is part of its length: stock xl reads on past a config that lacks it.
    """
    marker = MARKER.pack(MARKER_MAGIC, MARKER_VERSION, MARKER_TRAILER)
    block = LENGTH.pack(len(config_json) + 1) + config_json + b"\0" + marker
    return HEADER.pack(MAGIC, BYTE_ORDER, KNOWN_FLAGS, 0, len(block)) + block


def parse(take: Take) -> XlHeader:
    """Read the header, its config and the marker, leaving the first stream byte unread.

    :raise BadHeader: not an xl checkpoint, or one of a big-endian host.
    :raise UnsupportedStream: a mandatory flag that no known xl writes, or a marker of a later pyxl.
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
    config, rest, config_length = b"", b"", 0
    if block:
        if len(block) < LENGTH.size:
            raise TruncatedStream("config block is too short for a length", HEADER.size)
        (config_length,) = LENGTH.unpack_from(block)
        if config_length > len(block) - LENGTH.size:
            raise TruncatedStream("config is longer than its block", HEADER.size)
        end = LENGTH.size + config_length
        config, rest = block[LENGTH.size : end].rstrip(b"\0"), block[end:]
    size = HEADER.size + length
    # Without its magic it is xl's own, or was damaged: then what stands behind END gives it away.
    has_marker = rest.startswith(MARKER_MAGIC)
    has_trailer = has_marker and _promises_trailer(rest, size - len(rest))
    return XlHeader(mandatory, config, config_length, size, has_marker, has_trailer)


def _promises_trailer(rest: bytes, offset: int) -> bool:
    """Return whether ``rest``, a marker at ``offset``, says so."""
    if len(rest) != MARKER.size:
        raise BadHeader(f"marker of {len(rest)} bytes", offset)
    _, version, flags = MARKER.unpack(rest)
    if version != MARKER_VERSION or flags & ~MARKER_TRAILER:
        raise UnsupportedStream(f"marker version {version} with flags {flags:#x}", offset, "A later pyxl wrote it.")
    return bool(flags & MARKER_TRAILER)
