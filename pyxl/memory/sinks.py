"""Where a stream goes: a file with holes for zero pages, or a pipe.

Writing of a piece is in two steps: ``make`` beside other threads, ``put`` in the order of the stream.  Imports next to
nothing: the save-helper starts through here.
"""

import ctypes
import os

from pyxl.checkpoint.descriptors import write_all
from pyxl.memory.zeros import data_runs
from pyxl.xen.foreign import PAGE_SIZE

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from typing import Protocol

    class Pages(Protocol):
        """One thread's piece of the stream: a head, and pages that are mapped."""

        def make(self, head: bytes, address: int, count: int) -> None:
            """Make ready to write ``count`` pages from ``address`` on, behind ``head``."""

        def put(self) -> None:
            """Write what was made; the pages must still be mapped.

            :raise OSError: the target takes no more.
            """

    class Sink(Protocol):
        """A stream's target."""

        def write(self, data: bytes) -> None:
            """Append all of ``data``.

            :raise OSError: the target takes no more.
            """

        def pages(self) -> Pages:
            """Return what one thread appends pages with; a page may come again once all that were put before are."""

        def end(self) -> None:
            """Write what is still to be written."""


class PlainSink:
    """A file or pipe that takes the stream as it is, at the offset of ``fd``.

    ``sparse`` leaves out zero pages: only for a file that has nothing there yet, and something behind them later.
    """

    def __init__(self, fd: int, sparse: bool) -> None:
        self.fd = fd
        self.sparse = sparse

    def write(self, data: bytes) -> None:
        write_all(self.fd, data)

    def pages(self) -> "PlainPages":
        return PlainPages(self)

    def end(self) -> None:
        """Do nothing: all is written."""


class PlainPages:
    """Pages that are written as they are mapped."""

    def __init__(self, sink: PlainSink) -> None:
        self._sink = sink
        self._head = b""
        self._address = self._count = 0
        self._runs: list[tuple[int, int]] = []

    def make(self, head: bytes, address: int, count: int) -> None:
        self._head, self._address, self._count = head, address, count
        self._runs = data_runs(address, count) if self._sink.sparse else [(0, count)] * bool(count)

    def put(self) -> None:
        fd, at = self._sink.fd, 0
        write_all(fd, self._head)
        if self._sink.sparse:
            # Others see how far the file is by its offset, and read up to there.
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR) + self._count * PAGE_SIZE)
        for first, count in self._runs:
            if first > at:
                os.lseek(fd, (first - at) * PAGE_SIZE, os.SEEK_CUR)
            write_all(fd, mapped(self._address + first * PAGE_SIZE, count * PAGE_SIZE))
            at = first + count
        if at < self._count:
            os.lseek(fd, (self._count - at) * PAGE_SIZE, os.SEEK_CUR)


def mapped(address: int, size: int) -> memoryview:
    """Return memory at an address, which must stay mapped."""
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")
