"""A compressed checkpoint in a file, read anywhere in what it holds: by the frame, and a few frames are kept."""

import os
from collections.abc import Iterator

from pyxl.checkpoint import relay
from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.relay import Relay
from pyxl.checkpoint.zstd import Decompressor, ZstdError
from pyxl.errors import BadRecord, TruncatedStream
from pyxl.formats import seekable
from pyxl.formats.seekable import Frame, Frames

#: What is kept of frames that were decompressed: so many frames, and bytes in all.
_KEPT = 4
_KEPT_BYTES = 8 << 20
#: Few bytes that were read once are kept: each walk over the heads of records reads the same ones.
_PIECE = 64
_PIECES = 100_000
#: After so many bad frames no more are looked at.
MAX_DAMAGED = 10_000


class FrameReader:
    """Decompresses frames of a file, each in the place of the one before."""

    def __init__(self, fd: int, frames: Frames) -> None:
        self._fd = fd
        self._frames = frames
        self._decompressor = Decompressor()
        self._content = buffer(frames.most)

    def content(self, frame: Frame) -> memoryview:
        """Return what a frame holds; it is good until the next call.

        :raise BadRecord: it is not what was compressed.
        """
        try:
            data = os.pread(self._fd, frame.stored, frame.at)
            head = data[: seekable.HEAD_SIZE]
            if not head.startswith(seekable.MAGIC) or seekable.content_size(head) != frame.content:
                raise ZstdError("its head is not as the seek table says")
            return self._content[: self._decompressor.frame(data, self._content)]
        except ZstdError as error:
            which = f"frame {frame.number + 1} of {len(self._frames)}, at byte {frame.at} of the compressed file,"
            raise BadRecord(f"{which} is not what was saved: {error}", frame.start) from error


class CompressedFile:
    """Reads from ``fd``, a file of frames; ``size`` is that of what they hold, ``stored`` the file's own.

    :raise StreamError: its seek table is missing or damaged.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.stored = os.lseek(fd, 0, os.SEEK_END)
        self.frames = seekable.parse(self._stored, self.stored)
        self.size = self.frames.size
        self._most_kept = max(1, min(_KEPT, _KEPT_BYTES // max(self.frames.most, 1)))
        self._kept: list[tuple[int, FrameReader, memoryview]] = []  # the one that was used last is the last
        self._pieces: dict[int, tuple[int, bytes]] = {}
        self._seen = bytearray(len(self.frames))

    def read(self, length: int, offset: int) -> bytes:
        """Return ``length`` bytes at ``offset`` of the content, fewer only at its end.

        :raise BadRecord: a frame is damaged.
        """
        number, at = divmod(offset, _PIECE)
        if at + length > _PIECE or offset + length > self.size:
            return self._read(length, offset)
        first, piece = self._pieces.get(number, (offset, b""))
        if offset < first or offset + length > first + len(piece):
            # No more of it than lies in one frame: the head of a record has one of its own, its pages have the next.
            frame = self.frames.holding(offset)
            first = max(offset - at, frame.start)
            end = max(min(offset - at + _PIECE, frame.end), offset + length)
            piece = self._read(end - first, first)
            if len(self._pieces) < _PIECES:
                self._pieces[number] = first, piece
        return piece[offset - first : offset - first + length]

    def damaged(self) -> list[BadRecord]:
        """Look at all frames that were not read so far, and return what is wrong with them, in their order."""
        unseen = iter([number for number, seen in enumerate(self._seen) if not seen])
        found: list[BadRecord] = []
        lanes = min(relay.threads() + 1, self._seen.count(0))
        all_of_them = Relay([_Check(self, unseen, found) for _ in range(lanes)], relay.threads())
        all_of_them.start()
        all_of_them.wait()
        all_of_them.check()
        return found

    def _stored(self, offset: int, length: int) -> bytes:
        data = os.pread(self.fd, length, offset)
        if len(data) < length:
            raise TruncatedStream("the compressed file ends too early", offset)
        return data

    def _read(self, length: int, offset: int) -> bytes:
        parts = []
        end = min(offset + length, self.size)
        while offset < end:
            frame = self.frames.holding(offset)
            part = self._content(frame)[offset - frame.start : end - frame.start]
            parts.append(bytes(part))
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _content(self, frame: Frame) -> memoryview:
        for at, (number, _, content) in enumerate(self._kept):
            if number == frame.number:
                self._kept.append(self._kept.pop(at))
                return content
        is_full = len(self._kept) >= self._most_kept
        reader = self._kept.pop(0)[1] if is_full else FrameReader(self.fd, self.frames)
        content = reader.content(frame)
        self._kept.append((frame.number, reader, content))
        self._seen[frame.number] = 1
        return content


class _Check:
    """A lane that opens frames, and drops what they hold."""

    def __init__(self, file: CompressedFile, numbers: Iterator[int], found: list[BadRecord]) -> None:
        self._frames = file.frames
        self._reader = FrameReader(file.fd, file.frames)
        self._numbers = numbers
        self._found = found
        self._error: BadRecord | None = None

    def take(self) -> bool:
        self._number = next(self._numbers, -1)
        return self._number >= 0 and len(self._found) < MAX_DAMAGED

    def work(self) -> None:
        try:
            self._reader.content(self._frames[self._number])
            self._error = None
        except BadRecord as error:
            self._error = error

    def put(self) -> None:
        if self._error:
            self._found.append(self._error)
