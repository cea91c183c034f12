"""Reads and writes on descriptors that somebody else opened: they may be short, and non-blocking.

Imports next to nothing: the process that converts for a restore starts with it.
"""

import os


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            _wait(fd, writing=True)


def read_into(fd: int, buffer: memoryview) -> int:
    """Read what there is, at least one byte, and return how many; 0 only at the end."""
    while True:
        try:
            return os.readv(fd, [buffer])
        except BlockingIOError:
            _wait(fd)


def read_some(fd: int, most: int) -> bytes:
    """Return what there is, at least one byte; none only at the end."""
    while True:
        try:
            return os.read(fd, most)
        except BlockingIOError:
            _wait(fd)


def _wait(fd: int, *, writing: bool = False) -> None:
    from select import POLLIN, POLLOUT, poll  # seldom needed

    waiting = poll()
    waiting.register(fd, POLLOUT if writing else POLLIN)
    waiting.poll()
