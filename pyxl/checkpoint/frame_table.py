"""What an engine tells of the frames that it makes, and what streams have in common whose frames it makes.

It adds an entry for each frame to a file in memory that it shares.
"""

import os

from pyxl.formats import seekable


class FrameTable:
    """The entries behind ``fd``, (stored bytes, content bytes), in the order of the frames."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("frames", os.MFD_CLOEXEC)
        self._read = self._content = self._stored = 0

    def add(self, stored: int, content: int) -> None:
        """Add the entry of a frame that this process has made."""
        os.write(self.fd, seekable.ENTRY.pack(stored, content))

    def size(self) -> int:
        """Return how many bytes of content there are so far."""
        while entry := os.pread(self.fd, seekable.ENTRY.size, self._read):
            stored, content = seekable.ENTRY.unpack(entry)
            self._read += len(entry)
            self._stored += stored
            self._content += content
        return self._content

    def stored(self) -> int:
        """Return how many bytes the frames have so far."""
        self.size()
        return self._stored

    def entries(self) -> list[tuple[int, int]]:
        """Return all entries."""
        self.size()
        return list(seekable.ENTRY.iter_unpack(os.pread(self.fd, self._read, 0)))

    def close(self) -> None:
        """Close it; harmless when done twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ByTable:
    """What streams have in common whose frames are told of in ``_table``; ``_behind`` counts bytes behind them."""

    _table: FrameTable
    _behind = 0

    def size(self) -> int:
        """Return how many bytes of the content there are so far."""
        return self._table.size()

    def stored(self) -> int:
        """Return how many bytes are stored so far."""
        return self._table.stored() + self._behind

    def check(self) -> None:
        """Do nothing: the engine itself says what the target refuses."""
