"""A legacy stream read once, from a file or a pipe alike.

Imports next to nothing: the process that converts for a restore starts with it.
"""

import os
import stat

from pyxl.checkpoint.descriptors import read_into, read_some
from pyxl.errors import BadRecord, TruncatedStream

#: Bytes that are skipped at once, and the most page data that anybody asks for: 1024 pages.
CHUNK = 4 << 20


class Inflow:
    """Reads exact bytes from ``fd``, which is at byte ``offset`` of the file; pages go into one buffer."""

    def __init__(self, fd: int, offset: int) -> None:
        self.offset = offset
        self._fd = fd
        self._buffer = memoryview(bytearray(CHUNK))

    def take(self, length: int) -> bytes:
        """Return exactly the next ``length`` bytes.

        :raise TruncatedStream: there are fewer.
        """
        parts = []
        while length:
            parts.append(self._some(length))
            length -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, length: int) -> None:
        """Pass over exactly the next ``length`` bytes.

        :raise TruncatedStream: there are fewer.
        """
        while length:
            length -= len(self.pages(min(length, CHUNK)))

    def pages(self, length: int) -> memoryview:
        """Return exactly the next ``length`` bytes, good until the next call.

        :raise TruncatedStream: there are fewer.
        """
        done = 0
        while done < length:
            got = read_into(self._fd, self._buffer[done:length])
            if not got:
                raise self._ended(length - done)
            done += got
            self.offset += got
        return self._buffer[:length]

    def rest(self, most: int) -> bytes:
        """Return all that is left, but at most ``most`` bytes."""
        parts = []
        while most and (part := read_some(self._fd, most)):
            parts.append(part)
            most -= len(part)
            self.offset += len(part)
        return b"".join(parts)

    def end(self) -> None:
        """Check that nothing follows; a block device goes on with its old content.

        :raise BadRecord: something does.
        """
        if not stat.S_ISBLK(os.fstat(self._fd).st_mode) and read_some(self._fd, 1):
            raise BadRecord("bytes behind the legacy stream", self.offset)

    def _some(self, most: int) -> bytes:
        """Return the next bytes, at least one of them."""
        part = read_some(self._fd, most)
        if not part:
            raise self._ended(most)
        self.offset += len(part)
        return part

    def _ended(self, missing: int) -> TruncatedStream:
        return TruncatedStream(f"file ends {missing} bytes too early", self.offset)
