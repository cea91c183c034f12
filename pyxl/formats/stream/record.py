"""Records: the type, length, body and padding that both v2 streams are made of.

Spec: xen-spec.md 2.2 and 3.3.  Knows bytes; does not know files, domains, or what a record is for.
"""

import struct
from collections.abc import Callable

from pyxl.errors import BadRecord

#: ``take(n)`` gives exactly the next n bytes, or raises TruncatedStream.
Take = Callable[[int], bytes]
#: ``skip(n)`` passes over exactly the next n bytes, or raises TruncatedStream.
Skip = Callable[[int], None]

HEADER = struct.Struct("<II")
#: libxc refuses longer records, in both directions (xg_sr_stream_format.h).
MAX_BODY = 128 << 20


def padding(length: int) -> int:
    """Return how many zero bytes follow a body of ``length`` bytes."""
    return -length % 8


def encode(kind: int, body: bytes = b"") -> bytes:
    """Return one whole record, padded."""
    return HEADER.pack(kind, len(body)) + body + bytes(padding(len(body)))


def read_header(take: Take, offset: int) -> tuple[int, int]:
    """Read one record header and return its type and its body's length in bytes.

    ``offset`` is where the header starts, for the error.

    :raise BadRecord: the body is longer than any reader accepts.
    """
    kind, length = HEADER.unpack(take(HEADER.size))
    if length > MAX_BODY:
        raise BadRecord(f"record {kind:#x} claims {length} bytes", offset)
    return kind, length
