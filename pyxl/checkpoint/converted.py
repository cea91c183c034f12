"""A legacy checkpoint that is restored: a process of its own converts it to a v2 stream, which libxl reads from a pipe.

It has the methods of the kinds in checked.py: a restore need not know which it has.  The check of a file before that is
also here, by the heads of its chunks.
"""

import os
import select
import signal

from pyxl.checkpoint.source import Source
from pyxl.checkpoint.summed import pipe
from pyxl.errors import BadRecord, PyxlError
from pyxl.formats.legacy.convert import convert
from pyxl.formats.stream.trailer import Trailer

#: Bytes that the process may write about its failure.
_SAID = 4096


class ConvertedStream:
    """The v2 stream that ``program`` makes of the legacy stream at byte ``offset`` of ``source``, from ``start`` on.

    libxl reads from ``fd``; where the stream is bad, libxl sees its end, and ``check`` and ``result`` raise the reason.
    There are no checksums.
    """

    trailer: Trailer | None = None
    is_summed = False

    def __init__(self, source: Source, offset: int, program: str, skip_device_state: bool) -> None:
        self.size = source.size
        self._source = source
        self._argv = [program, str(offset), *(["skip-device-state"] if skip_device_state else [])]
        self._pid = 0
        self._status = 0
        self.fd, self._to_libxl = pipe()
        self._said, self._to_us = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        if source.seekable:
            os.lseek(source.fd, offset, os.SEEK_SET)

    def start(self) -> None:
        """Begin to convert, and wait for the first bytes that libxl is to read: without any its process dies.

        :raise PyxlError: there is none.
        """
        actions = [
            (os.POSIX_SPAWN_DUP2, self._source.fd, 0),
            (os.POSIX_SPAWN_DUP2, self._to_libxl, 1),
            (os.POSIX_SPAWN_DUP2, self._to_us, 2),
        ]
        # In a process group of its own a Ctrl-C does not reach it: it ends when the restore says so or ends itself.
        environment = {**os.environ, "PYXL_SAVE_HELPER_PARENT": str(os.getpid())}
        self._pid = os.posix_spawn(self._argv[0], self._argv, environment, file_actions=actions, setpgroup=0)
        self._close_ends()
        beginning = select.poll()
        beginning.register(self.fd, select.POLLIN)
        ((_, event),) = beginning.poll()
        if not event & select.POLLIN:
            self.result()

    def passed(self) -> int:
        """Return how many bytes of the file are converted; 0 for a pipe."""
        return os.lseek(self._source.fd, 0, os.SEEK_CUR) if self._source.seekable else 0

    def cut(self) -> bool:
        """Have the reader of the stream see its end at once."""
        self._close_ends()
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._wait()
        return True

    def check(self) -> None:
        """Raise what the converter has reported so far, if anything: it reports before the stream ends."""
        try:
            said = os.read(self._said, _SAID).decode(errors="replace")
        except BlockingIOError:
            return  # it is still working
        if said.startswith("Traceback"):
            raise PyxlError(f"the converter failed: {said.splitlines()[-1]}")
        if said:
            what, _, hint = said.partition("\n")
            raise PyxlError(what, hint.strip())

    def result(self) -> None:
        """Wait until all is converted.

        :raise PyxlError: the stream is bad.
        """
        self._wait()
        self.check()
        if self._status:
            raise PyxlError(f"the converter ended with status {self._status}")

    def close(self) -> None:
        """End the process and close the pipe; harmless when done twice."""
        self.cut()
        for fd in (self.fd, self._said):
            if fd >= 0:
                os.close(fd)
        self.fd = self._said = -1

    def _wait(self) -> None:
        if self._pid:
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            self._status = os.waitstatus_to_exitcode(status)

    def _close_ends(self) -> None:
        for fd in (self._to_libxl, self._to_us):
            if fd >= 0:
                os.close(fd)
        self._to_libxl = self._to_us = -1


class PagesSkipped(Source):
    """Reads all of a file but its pages; ``skipped_at`` is where the last ones began."""

    skipped_at = 0

    def pages(self, length: int) -> memoryview:
        self.skipped_at = self.offset
        self.skip(length)
        return memoryview(b"")

    def rest(self, most: int) -> bytes:
        part = self.peek(most)
        self.offset += len(part)
        return part


def look_over(fd: int, offset: int, skip_device_state: bool) -> None:
    """Check that a legacy stream at byte ``offset`` of a file can be converted, without reading its pages.

    Leaves ``fd``'s own offset at the file's start.

    :raise StreamError: as ``convert`` does, or something follows the stream.
    """
    looking = PagesSkipped(fd)
    looking.offset = offset
    for _ in convert(looking, skip_device_state):
        pass
    # A block device goes on with what was there before.
    if not looking.is_device and looking.peek(1):
        raise BadRecord("bytes behind the legacy stream", looking.offset)
