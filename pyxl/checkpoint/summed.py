"""A checkpoint that is written while its blocks are summed: a file by a second reader, a pipe as it passes.

Both kinds, and those of compressing.py and framed.py, have the same methods: the writer need not know which it has.
The save-helper gets ``fds``, the first to write to, and ``words`` for a memory engine (pyxl.model.engine); ``write``
appends at the same place while it does not.  Does not know what is written, but for the trailer.
"""

import contextlib
import fcntl
import os

from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.sums import CHUNK, BlockReader, RunningSums
from pyxl.checkpoint.worker import Flag, Worker
from pyxl.formats.stream import trailer
from pyxl.formats.stream.trailer import BLOCK, XXH64, Identity, Trailer
from pyxl.model.engine import SPARSE

#: After this many blocks it waits for the disk: else a failing disk shows only at the end, and until then the kernel
#: slows the writer down, since it takes the disk for busy.
_SYNC_BLOCKS = 4
#: Seconds between two looks at a growing file.
_LOOK_SECONDS = 0.1
#: Seconds that a slow disk, or an idle process at a pipe's other end, may hold up an undo.
PATIENCE_SECONDS = 1.0


class _Summed:
    """What both kinds have in common."""

    _file: NewFile

    def size(self) -> int:
        raise NotImplementedError

    def finish(self) -> list[int]:
        raise NotImplementedError

    def stored(self) -> int:
        """Return how many bytes the target has got of a compressed file; this is none."""
        return 0

    def end(self, identity: Identity) -> int:
        """Append the trailer, and return the size of the whole; nothing may be written any more.

        :raise OSError: the target took no more, or the disk has failed.
        """
        sums, covered = self.finish(), self.size()
        end = trailer.encode(Trailer(covered, sums, identity))
        self._file.write(end)
        return covered + len(end)


class SummedFile(_Summed):
    """A new file whose blocks are summed while this process and the save-helper append to it.

    A block is read while the page cache still has it.  Then the kernel is told to write it to the disk, and every few
    blocks waited for, which keeps the wait at the end short.
    """

    def __init__(self, file: NewFile) -> None:
        self.fd = file.fd
        self.fds, self.words = (file.fd,), SPARSE
        self._file = file
        self._reader = BlockReader(file.fd)
        self._sums: list[int] = []
        self._over = Flag()
        self._worker = Worker(self._follow)
        self._worker.start()

    def write(self, data: bytes) -> None:
        """Append all of ``data``."""
        self._file.write(data)

    def size(self) -> int:
        """Return how many bytes were written so far."""
        return self._file.size()

    def check(self) -> None:
        """Raise the error of the summing, or of the disk, if there was one."""
        self._worker.check()

    def finish(self) -> list[int]:
        """Return the sums of all that was written; nothing may be written to ``fd`` but the trailer.

        :raise OSError: the file cannot be read back, or the disk has failed.
        """
        self._over.set()
        self._worker.wait()
        self._worker.check()
        start, size = len(self._sums) * BLOCK, self.size()
        return [*self._sums, *(self._reader.sum(at, min(BLOCK, size - at)) for at in range(start, size, BLOCK))]

    def close(self) -> None:
        """Stop summing, and wait only briefly for a slow disk; harmless when done twice."""
        self._over.set()
        self._worker.wait(PATIENCE_SECONDS)

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            while not self._over.is_set() and (end := (len(self._sums) + 1) * BLOCK) <= self.size():
                self._sums.append(self._reader.sum(end - BLOCK, BLOCK))
                self._file.start_writeback(end - BLOCK, end)
                if not len(self._sums) % _SYNC_BLOCKS:
                    self._file.sync()


class SummedPipe(_Summed):
    """A pipe to a target that cannot be read back; its bytes are summed as they pass."""

    def __init__(self, file: NewFile) -> None:
        self._from_writer, self.fd = pipe()
        self.fds, self.words = (self.fd,), ""
        self._file = file
        # A descriptor of its own, so that nothing else gets the number during a copy.
        self._target = os.dup(file.fd)
        self._sums = RunningSums(XXH64)
        self._given_up = False
        self._worker = Worker(self._copy, self._end)
        self._worker.start()

    def write(self, data: bytes) -> None:
        """Append all of ``data``.

        :raise OSError: the target took no more.
        """
        try:
            write_all(self.fd, data)
        except BrokenPipeError:
            self._worker.check()
            raise

    def size(self) -> int:
        """Return how many bytes have reached the target so far."""
        return self._sums.size

    def check(self) -> None:
        """Raise the target's error, if it refused: the save-helper only sees a broken pipe."""
        self._worker.check()

    def finish(self) -> list[int]:
        """Return the sums of all that was written, once it has reached the target.

        :raise OSError: the target took no more.
        """
        self._close_own()
        self._worker.wait()
        self._worker.check()
        return self._sums.all(XXH64)

    def close(self) -> None:
        """Stop copying; harmless when done twice."""
        self._given_up = True
        self._close_own()
        self._worker.wait(PATIENCE_SECONDS)

    def _close_own(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _copy(self) -> None:
        while (data := os.read(self._from_writer, CHUNK)) and not self._given_up:
            write_all(self._target, data)
            self._sums.add(data)
        self._end()

    def _end(self) -> None:
        os.close(self._from_writer)
        os.close(self._target)


def summed(file: NewFile) -> SummedFile | SummedPipe:
    """Return ``file`` for writing with its blocks summed; it must stay open until the result is closed."""
    return SummedFile(file) if file.temporary is not None else SummedPipe(file)


def pipe() -> tuple[int, int]:
    """Return both ends of a pipe that holds ``CHUNK`` bytes, or as many as this user may have."""
    ends = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, CHUNK)
    return ends
