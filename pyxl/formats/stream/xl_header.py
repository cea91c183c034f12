"""The header of an xl checkpoint file, the guest's config inside it, and pyxl's marker behind the config.

Spec: xen-spec.md 1.1 and 1.2, README.md for the marker.  Knows bytes; does not know what the config says.
"""

import struct
from typing import NamedTuple

from pyxl.errors import BadHeader, TruncatedStream, UnsupportedStream
from pyxl.formats.stream.record import Take
from pyxl.formats.stream.trailer import NONE, XXH3_64, XXH64

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
MARKER_TRAILER = 1  # a trailer follows END
MARKER_XXH64 = 2  # its sums, where it has some, are XXH64; else XXH3
#: A config is some 2 KiB; a file that claims more than this is bad or hostile.
MAX_OPTIONAL = 1 << 20


class XlHeader(NamedTuple):
    """What comes before the stream.

    ``block`` is the optional data as they are in the file, ``config`` is the config in them without its NUL: JSON if
    ``is_json``, else xl.cfg text, empty if none was saved; ``config_length`` counts the NUL.
    ``has_marker`` says that pyxl's marker ends the block, ``has_trailer`` that it promises a trailer behind END, and
    ``algorithm`` with which sums, if it has some.
    """

    flags: int
    block: bytes
    config: bytes = b""
    config_length: int = 0
    has_marker: bool = False
    has_trailer: bool = False
    algorithm: int = NONE
    optional_flags: int = 0

    @property
    def is_json(self) -> bool:
        return bool(self.flags & FLAG_JSON)

    @property
    def is_v2(self) -> bool:
        return bool(self.flags & FLAG_STREAM_V2)

    @property
    def size(self) -> int:
        """The offset of the first stream byte."""
        return HEADER.size + len(self.block)

    def encode(self) -> bytes:
        return HEADER.pack(MAGIC, BYTE_ORDER, self.flags, self.optional_flags, len(self.block)) + self.block


def encode(config: bytes, is_json: bool = True) -> bytes:
    """Return the header of a v2 stream with a config and the marker that promises a trailer.

    A JSON config, which every xl since 4.6 writes, gets a NUL that its length counts: stock xl reads past the end of
    one without it.
    """
    flags, config = (KNOWN_FLAGS, config + b"\0") if is_json else (FLAG_STREAM_V2, config)
    marker = MARKER.pack(MARKER_MAGIC, MARKER_VERSION, MARKER_TRAILER | MARKER_XXH64)
    return XlHeader(flags, LENGTH.pack(len(config)) + config + marker).encode()


def parse(take: Take) -> XlHeader:
    """Read the header, its config and the marker, leaving the first stream byte unread.

    :raise BadHeader: not an xl checkpoint, or one of a big-endian host.
    :raise UnsupportedStream: a mandatory flag that no known xl writes, or a marker of a later pyxl.
    :raise TruncatedStream: the file ends within, or the config is longer than its block.
    """
    magic, order, flags, optional, length = HEADER.unpack(take(HEADER.size))
    if magic != MAGIC:
        raise BadHeader("not a checkpoint: xl's magic is missing", 0)
    if order != BYTE_ORDER:
        raise BadHeader(f"byte order {order:#010x}, expected {BYTE_ORDER:#010x}", 32)
    if flags & ~KNOWN_FLAGS:
        raise UnsupportedStream(f"unknown mandatory flags {flags & ~KNOWN_FLAGS:#x}", 36)
    if length > MAX_OPTIONAL:
        raise BadHeader(f"config block claims {length} bytes", 44)
    block = take(length)
    if not block:
        return XlHeader(flags, block, optional_flags=optional)
    if len(block) < LENGTH.size:
        raise TruncatedStream("config block is too short for a length", HEADER.size)
    (config_length,) = LENGTH.unpack_from(block)
    end = LENGTH.size + config_length
    if end > length:
        raise TruncatedStream("config is longer than its block", HEADER.size)
    config = block[LENGTH.size : end].rstrip(b"\0")
    # Without its magic it is xl's own, or damaged: then the bytes behind END show that.
    has_marker = block.startswith(MARKER_MAGIC, end)
    algorithm = _promised_sums(block[end:], HEADER.size + end) if has_marker else NONE
    return XlHeader(flags, block, config, config_length, has_marker, algorithm != NONE, algorithm, optional)


def _promised_sums(rest: bytes, offset: int) -> int:
    """Return the sums of the trailer that ``rest``, a marker at ``offset``, promises; NONE where it promises none."""
    if len(rest) != MARKER.size:
        raise BadHeader(f"marker of {len(rest)} bytes", offset)
    _, version, flags = MARKER.unpack(rest)
    known = {0: NONE, MARKER_TRAILER: XXH3_64, MARKER_TRAILER | MARKER_XXH64: XXH64}
    if version != MARKER_VERSION or flags not in known:
        raise UnsupportedStream(f"marker version {version} with flags {flags:#x}", offset, "A later pyxl wrote it.")
    return known[flags]
