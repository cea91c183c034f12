"""A checkpoint that is restored while its sums are checked: a file by a second reader, a pipe as it passes.

All kinds, also those of decompressed.py and converted.py, have the same methods: a restore need not know which it has.
libxl reads from ``fd``; where the file is bad, libxl sees its end, and ``check`` and ``result`` raise the reason.

libxl always sees its own header and LIBXC_CONTEXT whole: where a stream is bad or ends before its memory, libxl 4.17
calls a function that is not set yet, and the process dies.
"""

import os
from collections import deque
from typing import TYPE_CHECKING

from pyxl.checkpoint.by_offset import ByOffset
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.passed_on import PassedOn
from pyxl.checkpoint.source import Source, behind
from pyxl.checkpoint.sums import CHUNK, BlockReader
from pyxl.checkpoint.worker import Flag, Worker
from pyxl.formats.stream import libxl_v2, trailer, walk
from pyxl.formats.stream.trailer import BLOCK, Trailer
from pyxl.formats.stream.xl_header import XlHeader

if TYPE_CHECKING:
    from pyxl.checkpoint.decompressed import DecompressedFile

#: Seconds between two looks at how far libxl is.
_LOOK_SECONDS = 0.05


class CheckedFile(ByOffset):
    """A file whose framing, trailer and header are right; all blocks are checked from ``start`` on.

    Each is checked right after libxl has read it, while the page cache still has it: that also finds what somebody
    overwrites before libxl comes to it.  ``trailer`` is None where xl wrote the file: then there are no sums.

    :raise StreamError: the file is bad as far as that is known without reading all of it.
    """

    def __init__(self, source: Source, header: XlHeader) -> None:
        self.fd = source.fd
        self.size = source.size
        self._memory = header.size + len(libxl_v2.start())
        end = walk.end_of_stream(source.take, source.skip, header.size)
        self.trailer = behind(source, header, end)
        self._reader = BlockReader(source.fd)
        self._hurry = Flag()
        self._stopped = False
        self._worker = Worker(self._compare_all, self.cut)
        if self.trailer and self.trailer.sums:
            for index in range(-(-header.size // BLOCK)):
                self._compare(self.trailer, index)
        os.lseek(self.fd, header.size, os.SEEK_SET)

    def start(self) -> None:
        """Begin to check; libxl begins to read now."""
        self._worker.start()

    @property
    def is_summed(self) -> bool:
        """Whether checksums show that it is what was saved; known with the result."""
        return self.trailer is not None and bool(self.trailer.sums)

    def check(self) -> None:
        """Raise what was found so far, if something was: libxl only knows that its file ended."""
        self._worker.check()

    def result(self) -> None:
        """Wait until all is checked, at full speed.

        :raise StreamError: the file is bad.
        """
        self._hurry.set()
        self._worker.wait()
        self._worker.check()

    def close(self) -> None:
        """Stop checking; harmless when done twice."""
        self._stopped = True
        self._hurry.set()
        self._worker.wait()

    def _compare_all(self) -> None:
        if self.trailer is None:
            return
        for index in range(len(self.trailer.sums)):
            end = min((index + 1) * BLOCK, self.trailer.covered)
            while self.passed() < end and not self._hurry.wait(_LOOK_SECONDS):
                pass
            if self._stopped:
                return
            self._compare(self.trailer, index)

    def _compare(self, trailer_: Trailer, index: int) -> None:
        start = index * BLOCK
        length = min(BLOCK, trailer_.covered - start)
        trailer.compare(trailer_, index, self._reader.sum(start, length, trailer_.algorithm))


class CheckedPipe(PassedOn):
    """A pipe that passes a stream on to libxl up to its END, and checks it when the trailer has come.

    Before that only its header is known.  ``trailer`` is None until then, and where xl wrote the stream.
    """

    size = 0

    def __init__(self, source: Source, header: XlHeader) -> None:
        super().__init__(source)
        # A thread that waits for a silent sender may outlive the caller's descriptor.
        source.keep_open()
        source.sums.keep(header.algorithm)
        self._header = header
        self._elements = walk.stream(self._take, self._skip, header.size)
        self._thread = Worker(self._pass_on, self.cut)

    def start(self) -> None:
        """Wait until the stream has come to its memory, then begin to pass it on.

        :raise StreamError: it is bad before that.
        """
        for _ in range(2):  # libxl's header, LIBXC_CONTEXT
            next(self._elements)
        self._thread.start()

    def passed(self) -> int:
        """Return how many bytes of the stream have come."""
        return self._source.offset

    def _pass_on(self) -> None:
        (last,) = deque(self._elements, maxlen=1)
        sums = self._source.sums.all(self._header.algorithm) if self._header.has_trailer else []
        found = behind(self._source, self._header, last.end)
        if found is not None and found.sums:
            for index, sum_ in enumerate(sums):
                trailer.compare(found, index, sum_)
        self.trailer = found
        self.cut()

    def _take(self, length: int) -> bytes:
        data = self._source.take(length)
        write_all(self._to_libxl, data)
        return data

    def _skip(self, length: int) -> None:
        while length:
            length -= len(self._take(min(length, CHUNK)))


def checked(source: Source, header: XlHeader) -> "CheckedFile | CheckedPipe | DecompressedFile":
    """Return a checkpoint, whose header was just read from ``source``, for a restore that checks its sums.

    :raise StreamError: it is a file, and bad as far as that is known without reading all of it.
    """
    if source.compressed is not None:
        from pyxl.checkpoint.decompressed import DecompressedFile

        return DecompressedFile(source, source.compressed, header)
    return CheckedFile(source, header) if source.seekable else CheckedPipe(source, header)
