"""The trailer behind END of every checkpoint that pyxl writes: sums of the file's blocks, and whose save it is.

Spec: README.md of this folder.  Knows bytes and which hash sums them; does not know files, or how blocks are read.
"""

import json
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from pyxl import __version__
from pyxl.errors import BadRecord, UnsupportedStream
from pyxl.formats.stream.record import Take

MAGIC = b"pyxlsums"
END_MAGIC = b"smuslxyp"
VERSION = 1
BLOCK = 4 << 20
HEAD = struct.Struct("<8sIIQII")  # magic, version, block size, bytes covered, sums, length of the identity
DIGEST_SIZE = 16
FOOT = struct.Struct("<Q8s")  # length of the whole trailer, end magic
MAX_IDENTITY = 64 << 10
#: Seven values of this many characters, escaped, stay within the bound of an identity.
MAX_VALUE = 1024

#: The sum of a block, a 64-bit number: of bytes that are all there, and of bytes that come in pieces.
block_sum = xxhash.xxh3_64_intdigest
BlockHash = xxhash.xxh3_64


class Identity(NamedTuple):
    """Which guest a checkpoint is a save of, and what made it; an unknown value is empty.

    ``saved`` is in UTC, as 2026-11-24T15:20:11Z.
    """

    uuid: str = ""
    name: str = ""
    saved: str = ""
    host: str = ""
    xen: str = ""
    qemu: str = ""
    pyxl: str = ""


class Trailer(NamedTuple):
    """``sums`` of the blocks of the first ``covered`` bytes of the file; ``size`` is its own, in bytes, once read."""

    covered: int
    sums: Sequence[int]
    identity: Identity
    size: int = 0


def identity(uuid: str, name: str, saved: float, host: str, xen: str, qemu: str) -> Identity:
    """Return the identity of a checkpoint made by this pyxl; ``saved`` is in seconds since 1970."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(saved))
    return Identity(*(value[:MAX_VALUE] for value in (uuid, name, when, host, xen, qemu, __version__)))


def encode(trailer: Trailer) -> bytes:
    """Return the trailer's bytes, which belong at offset ``trailer.covered``."""
    text = json.dumps(trailer.identity._asdict(), ensure_ascii=False).encode("utf-8", "replace")
    count = len(trailer.sums)
    head = HEAD.pack(MAGIC, VERSION, BLOCK, trailer.covered, count, len(text))
    summed = head + struct.pack(f"<{count}Q", *trailer.sums) + text
    size = len(summed) + DIGEST_SIZE + FOOT.size
    return summed + xxhash.xxh3_128_digest(summed) + FOOT.pack(size, END_MAGIC)


def parse(take: Take, offset: int) -> Trailer:
    """Read the trailer at ``offset``, leaving the next byte unread.

    :raise BadRecord: it is damaged, or belongs elsewhere.
    :raise UnsupportedStream: a later pyxl wrote it.
    :raise TruncatedStream: the file ends within.
    """
    head = take(HEAD.size)
    magic, version, block, covered, count, length = HEAD.unpack(head)
    if magic != MAGIC:
        raise BadRecord("no trailer where one was promised", offset)
    if version != VERSION or block != BLOCK:
        raise UnsupportedStream(f"trailer version {version} with blocks of {block} bytes", offset)
    if covered != offset or count != -(-covered // BLOCK) or length > MAX_IDENTITY:
        raise BadRecord(f"trailer of {count} sums for {covered} bytes, with {length} bytes of identity", offset)
    summed = head + take(8 * count + length)
    digest = take(DIGEST_SIZE)
    if digest != xxhash.xxh3_128_digest(summed):
        raise BadRecord("the trailer is damaged: its own sum differs", offset)
    size = len(summed) + DIGEST_SIZE + FOOT.size
    if take(FOOT.size) != FOOT.pack(size, END_MAGIC):
        raise BadRecord("the trailer's end is damaged", offset + size - FOOT.size)
    sums = struct.unpack_from(f"<{count}Q", summed, HEAD.size)
    return Trailer(covered, sums, _identity(summed[HEAD.size + 8 * count :], offset), size)


def compare(trailer: Trailer, index: int, found: int) -> None:
    """Compare the sum of block ``index``, counted from 0, with the one in the trailer.

    :raise BadRecord: they differ.
    """
    if trailer.sums[index] != found:
        what = f"block {index + 1} of {len(trailer.sums)} is not what was saved: its sum differs"
        raise BadRecord(what, index * BLOCK)


def _identity(text: bytes, offset: int) -> Identity:
    """Return the identity in its JSON; ignore members that a later pyxl may add."""
    try:
        found = json.loads(text)
        known = {name: str(found.get(name, "")) for name in Identity._fields}
    except (ValueError, AttributeError, RecursionError) as error:
        raise BadRecord("the trailer's identity is not a JSON object", offset) from error
    return Identity(**known)
