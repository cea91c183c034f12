"""Where a stream comes from: a file, whose offset tells others how far its reader has come.

Imports next to nothing: the save-helper starts through here.
"""

import os

from pyxl.errors import PyxlError, TruncatedStream
from pyxl.memory.sinks import mapped

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from typing import Protocol

    class Pages(Protocol):
        """One thread's reader of pages."""

        def fill(self, address: int, size: int, offset: int) -> None:
            """Read ``size`` bytes from ``offset`` of the stream into memory.

            :raise StreamError: there are fewer, or they are damaged.
            """

    class Source(Protocol):
        """A stream, of which all but the pages is taken in its order; ``offset`` is where the next byte is."""

        offset: int

        def take(self, length: int) -> bytes:
            """Return exactly the next ``length`` bytes.

            :raise TruncatedStream: there are fewer.
            """

        def pages(self) -> Pages:
            """Return what one thread reads pages with."""

        def show(self, offset: int) -> None:
            """Let others see that all before ``offset`` was read.

            :raise CutOff: they want no more to be read.
            """


class CutOff(PyxlError):
    """The toolstack has moved the offset: it wants no more to be read."""


class PlainSource:
    """A file that holds the stream as it is, from the offset of ``fd`` on."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.offset = os.lseek(fd, 0, os.SEEK_CUR)
        self._shown = self.offset

    def take(self, length: int) -> bytes:
        data = os.pread(self._fd, length, self.offset)
        if len(data) < length:
            raise self._ended(self.offset + len(data))
        self.offset += length
        return data

    def pages(self) -> "Pages":
        return self

    def fill(self, address: int, size: int, offset: int) -> None:
        view, done = mapped(address, size), 0
        while done < size:
            got = os.preadv(self._fd, [view[done:]], offset + done)
            if not got:
                raise self._ended(offset + done)
            done += got

    def show(self, offset: int) -> None:
        if os.lseek(self._fd, 0, os.SEEK_CUR) != self._shown:
            raise CutOff("the toolstack has ended the stream")
        self._shown = os.lseek(self._fd, offset, os.SEEK_SET)

    @staticmethod
    def _ended(offset: int) -> TruncatedStream:
        return TruncatedStream("the stream ends too early", offset)
