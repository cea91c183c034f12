"""The trailer behind END of every checkpoint that pyxl writes: sums of the file's blocks, and whose save it is.

Spec: README.md of this folder.  Knows bytes and which hash sums them; does not know files, or how blocks are read.
"""

import json
import struct
import time
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import xxhash

from pyxl import __version__
from pyxl.errors import BadRecord, UnsupportedStream
from pyxl.formats.stream.record import Take
from pyxl.model.copied import Copied

MAGIC = b"pyxlsums"
END_MAGIC = b"smuslxyp"
BLOCK = 4 << 20
HEAD = struct.Struct("<8sIIQII")  # magic, version, block size, bytes covered, sums, length of the identity
#: Of version 2 alone, behind the head: what made the sums, 0.
ALGORITHM = struct.Struct("<II")
DIGEST_SIZE = 16
FOOT = struct.Struct("<Q8s")  # length of the whole trailer, end magic
MAX_IDENTITY = 64 << 10
#: Seven values of this many characters, escaped, stay within the bound of an identity.
MAX_VALUE = 1024

#: What makes the sum of a block, a 64-bit number.  Without vector instructions XXH64 is ten times as fast as XXH3.
NONE, XXH3_64, XXH64 = 0, 1, 2
HASHES = {XXH3_64: xxhash.xxh3_64, XXH64: xxhash.xxh64}
_SUMS = {XXH3_64: xxhash.xxh3_64_intdigest, XXH64: xxhash.xxh64_intdigest}


class Identity(NamedTuple):
    """Which guest a checkpoint is a save of, and what made it; an unknown value is empty.

    ``saved`` is in UTC, as 2026-11-24T15:20:11Z.  ``disks`` are the copies of its disks that belong to it; ``clock`` is
    who keeps its clock: "xen", or "own".
    """

    uuid: str = ""
    name: str = ""
    saved: str = ""
    host: str = ""
    xen: str = ""
    qemu: str = ""
    pyxl: str = ""
    disks: tuple[Copied, ...] = ()
    clock: str = ""

    def members(self) -> dict[str, object]:
        """Return it as JSON has it; without copies of disks, or a clock, there is no member of them."""
        found: dict[str, object] = {**self._asdict(), "disks": [disk._asdict() for disk in self.disks]}
        return {name: value for name, value in found.items() if value or name not in ("disks", "clock")}


class Trailer(NamedTuple):
    """``sums`` of the blocks of the first ``covered`` bytes of the file; ``size`` is its own, in bytes, once read.

    With the algorithm NONE there are no sums: the content was compressed, in frames that have their own.
    """

    covered: int
    sums: Sequence[int]
    identity: Identity
    algorithm: int = XXH64
    size: int = 0


def identity(
    uuid: str, name: str, saved: float, host: str, xen: str, qemu: str, disks: Sequence[Copied] = (), clock: str = ""
) -> Identity:
    """Return the identity of a checkpoint made by this pyxl; ``saved`` is in seconds since 1970."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(saved))
    uuid, name, host, xen, qemu = (value[:MAX_VALUE] for value in (uuid, name, host, xen, qemu))
    return Identity(uuid, name, when, host, xen, qemu, __version__, tuple(disks), clock)


def encode(trailer: Trailer) -> bytes:
    """Return the trailer's bytes, which belong at offset ``trailer.covered``; XXH3 makes one of version 1."""
    text = json.dumps(trailer.identity.members(), ensure_ascii=False).encode("utf-8", "replace")
    count = len(trailer.sums)
    is_old = trailer.algorithm == XXH3_64
    head = HEAD.pack(MAGIC, 1 if is_old else 2, BLOCK, trailer.covered, count, len(text))
    head += b"" if is_old else ALGORITHM.pack(trailer.algorithm, 0)
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
    if version not in (1, 2) or block != BLOCK:
        raise UnsupportedStream(f"trailer version {version} with blocks of {block} bytes", offset)
    algorithm, reserved = XXH3_64, 0
    if version == 2:
        head += (more := take(ALGORITHM.size))
        algorithm, reserved = ALGORITHM.unpack(more)
    if algorithm not in (NONE, *HASHES) or reserved:
        raise UnsupportedStream(f"trailer with sums of kind {algorithm}, {reserved}", offset)
    if covered != offset or count != (-(-covered // BLOCK) if algorithm else 0) or length > MAX_IDENTITY:
        raise BadRecord(f"trailer of {count} sums for {covered} bytes, with {length} bytes of identity", offset)
    summed = head + take(8 * count + length)
    digest = take(DIGEST_SIZE)
    if digest != xxhash.xxh3_128_digest(summed):
        raise BadRecord("the trailer is damaged: its own sum differs", offset)
    size = len(summed) + DIGEST_SIZE + FOOT.size
    if take(FOOT.size) != FOOT.pack(size, END_MAGIC):
        raise BadRecord("the trailer's end is damaged", offset + size - FOOT.size)
    sums = struct.unpack_from(f"<{count}Q", summed, len(head))
    return Trailer(covered, sums, _identity(summed[len(head) + 8 * count :], offset), algorithm, size)


def at_end(tail: bytes, end: int) -> Trailer | None:
    """Return the trailer with which ``tail`` ends, the last bytes of a checkpoint of ``end`` bytes; None without one.

    :raise StreamError: as parse.
    """
    size, magic = FOOT.unpack(tail[-FOOT.size :]) if len(tail) >= FOOT.size else (0, b"")
    if magic != END_MAGIC or size > len(tail):
        return None
    return parse(BytesIO(tail[-size:]).read, end - size)


def block_sum(block: bytes | memoryview, algorithm: int = XXH64) -> int:
    """Return the sum of a block that is all there."""
    return int(_SUMS[algorithm](block))


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
        known = {name: str(found.get(name, "")) for name in Identity._fields if name != "disks"}
        disks = tuple(_copied(each) for each in found.get("disks", ()))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadRecord("the trailer's identity is not a JSON object", offset) from error
    return Identity(**known, disks=disks)


def _copied(members: dict[str, object]) -> Copied:
    texts = {name: str(members.get(name, "")) for name in Copied._fields if name != "size"}
    return Copied(**texts, size=int(str(members.get("size", 0))))
