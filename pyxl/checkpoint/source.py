"""A checkpoint to read, without moving the offset that libxl will start at."""

import os
import stat

from pyxl.checkpoint.descriptors import read_some
from pyxl.checkpoint.sums import CHUNK, RunningSums
from pyxl.errors import BadRecord, TruncatedStream
from pyxl.formats.stream import trailer


class Source:
    """Exact reads at a position of its own.

    On a file that can seek, ``fd``'s offset does not move.  On a pipe each byte can be taken only once; ``sums`` covers
    all that was taken from it.
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
        """Return up to ``length`` of the next bytes, none only at the end; on a file they can still be taken."""
        return os.pread(self.fd, length, self.offset) if self.seekable else read_some(self.fd, length)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes at ``offset`` of a file that can seek; the position does not move.

        :raise TruncatedStream: there are fewer.
        """
        data = os.pread(self.fd, length, offset)
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
