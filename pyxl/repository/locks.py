"""Who works in a repository: many at once, or one alone, who then may remove things.

Each lock ends with the process that holds it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.errors import PyxlError
from pyxl.interrupt import pass_on

_LOOK_SECONDS = 0.05


class Busy(PyxlError):
    """Others have worked in the repository for all of the time that was waited."""


class Locks:
    """The locks in ``directory``, which exists.

    Who wants to be alone first takes the door, so that whoever comes later waits: else those who come and go would keep
    it waiting for ever.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Work beside others: nothing that is there is removed meanwhile."""
        with self._file("users") as users:
            with self._file("door") as door:
                _take(door, fcntl.LOCK_EX, None)
                _take(users, fcntl.LOCK_SH, None)
            yield

    @contextmanager
    def alone(self, seconds: float | None = None) -> Iterator[None]:
        """Work while nobody else does; wait for them, at most so long.

        :raise Busy: they still work.
        """
        with self._file("door") as door, self._file("users") as users:
            _take(door, fcntl.LOCK_EX, seconds)
            _take(users, fcntl.LOCK_EX, seconds)
            yield

    def next_number(self, least: int) -> int:
        """Return a number, at least ``least``, that was given to nobody before."""
        with self._file("number") as fd:
            _take(fd, fcntl.LOCK_EX, None)
            text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            number = max(least, int(text) + 1 if text.isdigit() else 0)
            os.pwrite(fd, f"{number:<20}\n".encode(), 0)
            return number

    @contextmanager
    def _file(self, name: str) -> Iterator[int]:
        fd = os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)


def _take(fd: int, how: int, seconds: float | None) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        if end is not None and time.monotonic() > end:
            raise Busy("others are at work in the repository", "Try again later.")
        pass_on()
        time.sleep(_LOOK_SECONDS)
