"""Who works in a repository: many at once, or one alone, who then may remove things.

Each lock ends with the process that holds it.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.errors import PyxlError
from pyxl.interrupt import pass_on
from pyxl.repository import writing_host

_LOOK_SECONDS = 0.05
#: What the kernel answers where a user may read files only.
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class Busy(PyxlError):
    """Others have worked in the repository for all of the time that was waited."""


class Locks:
    """The locks in ``directory``.

    Everybody takes the door before the lock itself.  Who wants to be alone keeps it while waiting, so that whoever
    comes later waits: else those who come and go would keep it waiting for ever.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Read beside others: nothing that is there is removed meanwhile.

        Where nothing can be written, a lock that does not exist is held by nobody, and need not be taken.
        """
        with self._file("users") as users:
            with self._file("door") as door:
                self._take(door, fcntl.LOCK_SH, None)
                self._take(users, fcntl.LOCK_SH, None)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Add something beside others, as ``shared``.

        :raise PyxlError: another host writes to the repository.
        """
        with self.shared():
            writing_host.claim(self._directory)
            yield

    @contextmanager
    def alone(self, seconds: float | None = None) -> Iterator[None]:
        """Add and remove while nobody else is at work; wait for them, at most so long.

        :raise Busy: they still work.
        :raise PyxlError: another host writes to the repository.
        """
        end = None if seconds is None else time.monotonic() + seconds
        with self._file("door", writable=True) as door, self._file("users", writable=True) as users:
            self._take(door, fcntl.LOCK_EX, end)
            self._take(users, fcntl.LOCK_EX, end)
            writing_host.claim(self._directory)
            yield

    def next_number(self, least: int) -> int:
        """Return a number, at least ``least``, that was given to nobody before."""
        with self._file("number", writable=True) as fd:
            self._take(fd, fcntl.LOCK_EX, None)
            text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            number = max(least, int(text) + 1 if text.isdigit() else 0)
            os.pwrite(fd, f"{number:<20}\n".encode(), 0)
            return number

    @contextmanager
    def _file(self, name: str, *, writable: bool = False) -> Iterator[int]:
        """Open a lock for the block, -1 where there is none and none can be made."""
        fd = self._open(name, writable)
        try:
            yield fd
        finally:
            if fd >= 0:
                os.close(fd)

    def _open(self, name: str, writable: bool) -> int:
        path = self._directory / name
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)  # a copy of a repository may lack it
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if writable or error.errno not in _READ_ONLY:
                raise PyxlError(f"{path}: {error.strerror}") from error
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1
        except OSError as error:
            raise PyxlError(f"{path}: {error.strerror}") from error

    def _take(self, fd: int, how: int, end: float | None) -> None:
        while fd >= 0:
            try:
                fcntl.flock(fd, how | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pass
            except OSError as error:
                raise PyxlError(f"{self._directory}: files cannot be locked there: {error.strerror}") from error
            if end is not None and time.monotonic() > end:
                raise Busy("others are at work in the repository", "Try again later.")
            pass_on()
            time.sleep(_LOOK_SECONDS)
