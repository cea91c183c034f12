"""A checkpoint file to restore from, read without moving the offset that libxl will start at."""

import os
import stat

from pyxl.checkpoint.sums import CHUNK, RunningSums
from pyxl.errors import TruncatedStream


class Source:
    """Exact reads at a position of its own.

    On a file that can seek, ``fd``'s offset stays put; on a pipe each byte taken is gone, so nothing is taken twice:
    ``sums`` are of all that was taken from one.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.sums = RunningSums()
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
        """Return up to ``length`` of the next bytes, none only at the end; a file keeps them to be taken."""
        return os.pread(self.fd, length, self.offset) if self.seekable else os.read(self.fd, length)

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
