"""The zstd seekable format: frames that can be decompressed alone, and a table at the end that says where each is.

Spec: contrib/seekable_format of facebook/zstd, and RFC 8878.  Knows bytes; does not know how a frame is decompressed.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from pyxl.errors import BadRecord, TruncatedStream, UnsupportedStream

MAGIC = b"\x28\xb5\x2f\xfd"
TABLE = struct.Struct("<II")  # magic of a skippable frame, length of its content
TABLE_MAGIC = 0x184D2A5E
ENTRY = struct.Struct("<II")  # stored bytes, content bytes
FOOT = struct.Struct("<IBI")  # number of frames, descriptor, magic
FOOT_MAGIC = 0x8F92EAB1
#: What a frame may hold: who reads one allocates as much.
MAX_CONTENT = 8 << 20
MAX_FRAMES = 1 << 22
#: A frame's magic, descriptor, and the longest that follows them in its header.
HEAD_SIZE = 18
_WITH_SUM = 4
_MISFIT = "the seek table is damaged: its frames do not fit the file"
#: Sizes of the fields of a frame header, by their code in the descriptor.
_DICTIONARY_SIZES = (0, 1, 2, 4)
_CONTENT_SIZES = (0, 2, 4, 8)


class Frame(NamedTuple):
    """Where frame ``number``, counted from 0, is in the file, and what it holds of the content, in bytes."""

    number: int
    at: int
    stored: int
    start: int
    content: int

    @property
    def end(self) -> int:
        return self.start + self.content


class Frames:
    """All frames of a file, by their number or by what they hold.

    ``size`` is that of the whole content, ``most`` is what the biggest frame holds.
    """

    def __init__(self, stored: Sequence[int], content: Sequence[int]) -> None:
        self._ats = array("Q", accumulate(stored, initial=0))
        self._starts = array("Q", accumulate(content, initial=0))
        self.size = self._starts[-1]
        self.most = max(content, default=0)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Frame:
        at, start = self._ats[number], self._starts[number]
        return Frame(number, at, self._ats[number + 1] - at, start, self._starts[number + 1] - start)

    def holding(self, offset: int) -> Frame:
        """Return the frame that holds byte ``offset`` of the content, which is within it."""
        return self[bisect_right(self._starts, offset) - 1]


def encode(frames: Iterable[tuple[int, int]]) -> bytes:
    """Return the table of frames, each as (stored bytes, content bytes); it belongs behind the last one."""
    entries = b"".join(ENTRY.pack(*frame) for frame in frames)
    head = TABLE.pack(TABLE_MAGIC, len(entries) + FOOT.size)
    return head + entries + FOOT.pack(len(entries) // ENTRY.size, 0, FOOT_MAGIC)


def parse(read: Callable[[int, int], bytes], size: int) -> Frames:
    """Return the frames of a file of ``size`` bytes; ``read`` returns the bytes from an offset on, so many as asked.

    :raise TruncatedStream: the table is missing, and pyxl wrote the file: it was cut.
    :raise UnsupportedStream: the table is missing, or has checksums of its own.
    :raise BadRecord: it is damaged, or a frame holds more than pyxl takes.
    """
    stored, content = columns(read, size)
    if not all(content) or max(content, default=0) > MAX_CONTENT:
        raise BadRecord(_MISFIT, sum(stored))
    return Frames(stored, content)


def columns(read: Callable[[int, int], bytes], size: int) -> tuple["array[int]", "array[int]"]:
    """Return how many bytes each frame takes, and how many it holds; otherwise as ``parse``."""
    foot = size - FOOT.size
    if foot < TABLE.size or FOOT.unpack(read(foot, FOOT.size))[2] != FOOT_MAGIC:
        raise _without_table(read(0, min(HEAD_SIZE, size)), size)
    count, descriptor, _ = FOOT.unpack(read(foot, FOOT.size))
    if descriptor:
        raise UnsupportedStream(f"seek table with descriptor {descriptor:#x}", foot + 4)
    at = foot - count * ENTRY.size - TABLE.size
    if count > MAX_FRAMES or at < 0 or TABLE.unpack(read(at, TABLE.size)) != (TABLE_MAGIC, size - at - TABLE.size):
        raise BadRecord(f"the seek table of {count} frames is damaged", foot)
    numbers = array("I", read(at + TABLE.size, count * ENTRY.size))
    stored, content = numbers[::2], numbers[1::2]
    if sum(stored) != at:
        raise BadRecord(_MISFIT, at)
    return stored, content


def has_sum(head: bytes) -> bool:
    """Tell whether a frame that begins with ``head`` has a checksum of its content at its end."""
    return len(head) > len(MAGIC) and bool(head[len(MAGIC)] & _WITH_SUM)


def content_size(head: bytes) -> int | None:
    """Return how many bytes the frame that begins with ``head`` says that it holds, None where it does not."""
    descriptor = head[len(MAGIC)] if len(head) > len(MAGIC) else 0
    is_single = bool(descriptor & 32)
    size = _CONTENT_SIZES[descriptor >> 6] or int(is_single)
    at = len(MAGIC) + 1 + (not is_single) + _DICTIONARY_SIZES[descriptor & 3]
    if not size or len(head) < at + size:
        return None
    return int.from_bytes(head[at : at + size], "little") + 256 * (size == 2)


def _without_table(head: bytes, size: int) -> TruncatedStream | UnsupportedStream:
    if has_sum(head) and (content_size(head) or MAX_CONTENT + 1) <= MAX_CONTENT:
        return TruncatedStream("the file is compressed and its seek table is missing: the file was cut", size)
    return UnsupportedStream(
        "the file is compressed as one piece, and cannot be read at random", 0,
        "`zstd -dc FILE | pyxl restore -` restores it; `zstd -d FILE` makes a file that every command reads.",
    )  # fmt: skip
