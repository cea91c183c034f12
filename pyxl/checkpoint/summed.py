"""A checkpoint in the writing whose blocks are summed meanwhile: a file behind its writer's back, a pipe in passing.

Both kinds have the same methods: who writes need not know which it is.  The save-helper writes to ``fd``; ``write``
appends at the same place while it does not.  Does not know what is written.
"""

import contextlib
import fcntl
import os

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.sums import CHUNK, BlockReader, RunningSums
from pyxl.checkpoint.worker import Flag, Worker
from pyxl.formats.stream.trailer import BLOCK

#: After this many blocks the disk is waited for: else one that fails shows itself only at the end, and until then the
#: kernel slows the writer down, to be kind to a disk that it takes for busy.
_SYNC_BLOCKS = 4
#: Seconds between two looks at a growing file.
_LOOK_SECONDS = 0.1
#: Seconds that a slow disk, or whoever is at a pipe's other end and does nothing, may hold up an undo.
PATIENCE_SECONDS = 1.0


class SummedFile:
    """A new file whose blocks are summed while this process and the save-helper append to it.

    A block is read while the page cache still has it; then the kernel is asked to begin writing it to the disk, and now
    and then waited for, which keeps the wait at the end short.
    """

    def __init__(self, file: NewFile) -> None:
        self.fd = file.fd
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
        """Raise what went wrong with the summing, or with the disk, if something did."""
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
        """Stop summing, but hardly wait for a disk that is slow; harmless when done twice."""
        self._over.set()
        self._worker.wait(PATIENCE_SECONDS)

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            while not self._over.is_set() and (end := (len(self._sums) + 1) * BLOCK) <= self.size():
                self._sums.append(self._reader.sum(end - BLOCK, BLOCK))
                self._file.start_writeback(end - BLOCK, end)
                if not len(self._sums) % _SYNC_BLOCKS:
                    self._file.sync()


class SummedPipe:
    """A pipe in front of a target that cannot be read back; what passes is summed on its way there."""

    def __init__(self, file: NewFile) -> None:
        self._from_writer, self.fd = pipe()
        # Its own, so that nothing else gets the number while a copy is under way.
        self._target = os.dup(file.fd)
        self._sums = RunningSums()
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
        """Raise what the target has refused with, if it did: the save-helper only sees a broken pipe."""
        self._worker.check()

    def finish(self) -> list[int]:
        """Return the sums of all that was written, once it has reached the target.

        :raise OSError: the target took no more.
        """
        self._close_own()
        self._worker.wait()
        self._worker.check()
        return self._sums.all()

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


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
