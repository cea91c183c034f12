"""A stream out of zstd frames: each is opened in the thread that wants it, into the guest's own pages where it can.

Imports next to nothing: the save-helper starts through here.
"""

import ctypes
import os
from _bisect import bisect_right
from itertools import accumulate

from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.zstd import Decompressor, ZstdError
from pyxl.errors import BadRecord, TruncatedStream
from pyxl.memory.frames_out import ENTRY
from pyxl.memory.sources import PlainSource
from pyxl.memory.zeros import MOST, is_zero
from pyxl.xen.foreign import PAGE_SIZE

#: Number of frames, descriptor, magic: the end of a file of frames.
_FOOT_BYTES = 9
#: A frame of a MiB of zero pages has fewer bytes than this, whatever its level.
_ZEROS_STORED = 1 << 10


class FramesSource(PlainSource):
    """The stream in ``frames``, a file whose seek table the toolstack has checked.

    ``fd`` stands for it: its offset is that of the content, and tells others how far the reader has come.
    """

    def __init__(self, fd: int, frames: int) -> None:
        super().__init__(fd)
        self._frames = frames
        size = os.lseek(frames, 0, os.SEEK_END)
        count = int.from_bytes(os.pread(frames, 4, size - _FOOT_BYTES), "little")
        table = os.pread(frames, ENTRY.size * count, size - _FOOT_BYTES - ENTRY.size * count)
        entries = list(ENTRY.iter_unpack(table))
        # No arrays: their module imports all of collections.
        self._ats: list[int] = list(accumulate((stored for stored, _ in entries), initial=0))
        self._starts: list[int] = list(accumulate((content for _, content in entries), initial=0))
        self._reader = FramesPages(self)
        self._content = buffer(max((content for _, content in entries), default=0))
        self._number = -1

    def take(self, length: int) -> bytes:
        parts = []
        while length:
            number = self.holding(self.offset)
            if number != self._number:
                self._number = -1
                self._reader.open(number, self._content)
                self._number = number
            start = self.offset - self._starts[number]
            part = bytes(self._content[start : min(start + length, self.end(number) - self._starts[number])])
            parts.append(part)
            self.offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def pages(self) -> "FramesPages":
        return FramesPages(self)

    def holding(self, offset: int) -> int:
        """Return the number of the frame that holds byte ``offset``.

        :raise TruncatedStream: none does.
        """
        if offset >= self._starts[-1]:
            raise TruncatedStream("the stream ends too early", offset)
        return bisect_right(self._starts, offset) - 1

    def start(self, number: int) -> int:
        """Return where a frame's content is in the stream."""
        return self._starts[number]

    def end(self, number: int) -> int:
        """Return where the content of the frame behind it is."""
        return self._starts[number + 1]

    def stored(self, number: int) -> bytes:
        """Return a frame as it is stored."""
        at = self._ats[number]
        return os.pread(self._frames, self._ats[number + 1] - at, at)


class FramesPages:
    """One thread's reader."""

    def __init__(self, source: FramesSource) -> None:
        self._source = source
        self._decompressor = Decompressor()
        self._zeros = b""  # the frame of a MiB of zero pages, once there was one
        self._content: memoryview | None = None

    def fill(self, address: int, size: int, offset: int) -> None:
        """Read ``size`` bytes from ``offset`` of the stream into memory.

        :raise TruncatedStream: there are fewer.
        :raise BadRecord: a frame is damaged.
        """
        done = 0
        while done < size:
            number = self._source.holding(offset + done)
            start, end = self._source.start(number), self._source.end(number)
            if start == offset + done and end <= offset + size:
                self.open(number, (address + done, end - start))
                done += end - start
                continue
            if self._content is None or len(self._content) < end - start:
                self._content = buffer(end - start)
            self.open(number, self._content)
            first = offset + done - start
            part = min(end - start - first, size - done)
            ctypes.memmove(address + done, bytes(self._content[first : first + part]), part)
            done += part

    def open(self, number: int, into: memoryview | tuple[int, int]) -> None:
        """Decompress a frame into memory that may be larger.

        :raise BadRecord: it is damaged.
        """
        stored, size = self._source.stored(number), self._source.end(number) - self._source.start(number)
        may_be_zeros = isinstance(into, tuple) and size == MOST * PAGE_SIZE and len(stored) < _ZEROS_STORED
        if may_be_zeros and stored == self._zeros and is_zero(into[0], MOST):  # new memory nearly always is
            return
        try:
            found = self._decompressor.frame(stored, into)
        except ZstdError as error:
            raise self._damaged(number, str(error)) from error
        if found != size:
            raise self._damaged(number, f"it holds {found} bytes, not {size}")
        if may_be_zeros and is_zero(into[0], MOST):
            self._zeros = stored

    def _damaged(self, number: int, why: str) -> BadRecord:
        return BadRecord(f"frame {number + 1} is not what was saved: {why}", self._source.start(number))
