"""A checkpoint to read, without moving the offset that libxl will start at.

One that is compressed reads as what it holds.
"""

import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pyxl.checkpoint.descriptors import read_some
from pyxl.checkpoint.sums import CHUNK, RunningSums
from pyxl.errors import BadRecord, StreamError, TruncatedStream
from pyxl.formats import seekable
from pyxl.formats.stream import trailer
from pyxl.formats.stream.trailer import Trailer
from pyxl.formats.stream.xl_header import XlHeader

if TYPE_CHECKING:
    from pyxl.checkpoint.frames import CompressedFile
    from pyxl.checkpoint.inflated import Inflated


class Source:
    """Exact reads at a position of its own.

    On a file that can seek, ``fd``'s offset does not move.  On a pipe each byte can be taken only once; ``sums`` covers
    all that was taken from it.  ``compressed`` is a file of frames below, None where it is none; then offsets and
    ``size`` are of what the frames hold.  A pipe shows with its first bytes whether it is compressed.

    :raise StreamError: it is a compressed file, and bad.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.sums = RunningSums(*trailer.HASHES)
        status = os.fstat(fd)
        self.is_device = stat.S_ISBLK(status.st_mode)
        self.seekable = stat.S_ISREG(status.st_mode) or self.is_device
        self.size = os.lseek(fd, 0, os.SEEK_END) if self.seekable else 0
        if self.seekable:
            os.lseek(fd, 0, os.SEEK_SET)
        self.offset = 0
        self.compressed: CompressedFile | None = None
        self._pread: Callable[[int, int], bytes] = self._plain
        self._inflated: Inflated | None = None
        self._ahead: bytes | None = None  # of a pipe; None until its first bytes are asked for
        self._owns_fd = False
        if self.seekable and os.pread(fd, len(seekable.MAGIC), 0) == seekable.MAGIC:
            self.compressed = _compressed(fd)
            self._pread = self.compressed.read
            self.size = self.compressed.size

    @property
    def is_summed(self) -> bool:
        """Whether frames with checksums of their own held all that was read; of a pipe it is known at its end."""
        return self.compressed is not None or (self._inflated is not None and self._inflated.is_summed)

    @property
    def stored(self) -> int:
        """What a compressed checkpoint takes, in bytes; 0 of any other."""
        return self.compressed.stored if self.compressed else 0

    def damaged(self) -> Iterable[StreamError]:
        """Look at all frames that were not read so far, and return what is wrong with them; a plain file has none."""
        return self.compressed.damaged() if self.compressed else ()

    def keep_open(self) -> None:
        """Read a pipe from a descriptor of its own until ``close``: a thread may outlive the caller's."""
        if not self._owns_fd:
            self.fd = os.dup(self.fd)
            self._owns_fd = True

    def close(self) -> None:
        """Close what the caller did not open; harmless when done twice."""
        if self._owns_fd:
            self._owns_fd = False
            os.close(self.fd)

    def take(self, length: int) -> bytes:
        """Return exactly the next ``length`` bytes.

        :raise TruncatedStream: there are fewer.
        """
        parts = []
        while length:
            part = self.peek(length)
            if not part:
                raise TruncatedStream(f"file ends {length} bytes too early", self.offset)
            if not self.seekable:
                self.sums.add(part)
            parts.append(part)
            self.offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def peek(self, length: int) -> bytes:
        """Return up to ``length`` of the next bytes, none only at the end; on a file they can still be taken.

        :raise StreamError: the frames of a compressed pipe or file are damaged.
        """
        if self.seekable:
            return self._pread(length, self.offset)
        if self._ahead is None:
            self._ahead = self._begin()
        if self._ahead:
            part, self._ahead = self._ahead[:length], self._ahead[length:]
        else:
            part = read_some(self.fd, length)
        if not part and self._inflated:
            self._inflated.check()  # it says more than that the stream has ended
        return part

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes at ``offset`` of a file that can seek; the position does not move.

        :raise TruncatedStream: there are fewer.
        """
        data = self._pread(length, offset)
        if len(data) < length:
            raise TruncatedStream(f"file ends {length - len(data)} bytes too early", offset + len(data))
        return data

    def expect_end(self, has_trailer: bool) -> None:
        """Check that nothing follows what was taken up to END, or to the end of the trailer behind it.

        :raise BadRecord: something does.
        """
        rest = self.peek(len(trailer.MAGIC))
        # A block device goes on with its old content; a trailer there has lost its marker.
        if rest and (not self.is_device or rest == trailer.MAGIC):
            what = "bytes behind the trailer" if has_trailer else "bytes behind END without a marker"
            raise BadRecord(what, self.offset)

    def skip(self, length: int) -> None:
        """Pass over exactly the next ``length`` bytes; on a pipe they are summed.

        :raise TruncatedStream: there are fewer.
        """
        if not self.seekable:
            while length:
                length -= len(self.take(min(length, CHUNK)))
            return
        if self.offset + length > self.size:
            raise TruncatedStream(f"file ends {self.offset + length - self.size} bytes too early", self.size)
        self.offset += length

    def _plain(self, length: int, offset: int) -> bytes:
        return os.pread(self.fd, length, offset)

    def _begin(self) -> bytes:
        """Return the first bytes of a pipe; none where it is compressed, and another pipe has taken its place."""
        head = b""
        while len(head) < len(seekable.MAGIC) and (part := read_some(self.fd, len(seekable.MAGIC) - len(head))):
            head += part
        if head != seekable.MAGIC:
            return head
        from pyxl.checkpoint.inflated import Inflated

        self.keep_open()
        self._inflated = Inflated(self.fd, head)
        self.fd = self._inflated.fd
        return b""


def _compressed(fd: int) -> "CompressedFile":
    # Few checkpoints are compressed, and what reads them takes time to import.
    from pyxl.checkpoint.frames import CompressedFile

    return CompressedFile(fd)


def behind(source: Source, header: XlHeader, end: int) -> Trailer | None:
    """Return the trailer behind END, None where xl wrote the file.

    :raise StreamError: there is no whole one where it was promised, or something else follows END.
    """
    found = trailer.parse(source.take, end) if header.has_trailer else None
    if found and found.algorithm not in (header.algorithm, trailer.NONE):
        raise BadRecord("the trailer has other sums than the marker says", end)
    source.expect_end(found is not None)
    return found
