"""Give one damaged file to one command's code: it must answer in time, with little memory, and must not crash."""

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from pyxl.checkpoint.inflow import Inflow
from pyxl.checkpoint.legacy import admit
from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError
from pyxl.files.verify import verify
from pyxl.formats.legacy.convert import convert
from pyxl.formats.stream import xl_header

#: Seconds and bytes of memory that a file may take.
SECONDS = 10
BYTES = 64 << 20


def verdict(path: Path) -> str:
    """Return verify's verdict on a file."""
    found = verify(path)
    return found.worst.value if found.worst else "clean"


def conversion(path: Path) -> str:
    """Convert a file and drop the result; check it first, as a restore does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        source = Source(fd)
        header = xl_header.parse(source.take)
        if header.is_v2:
            return "not legacy"
        admit(source, header, skip_device_state=False)
        os.lseek(fd, header.size, os.SEEK_SET)
        for _ in convert(Inflow(fd, header.size), skip_device_state=False):
            pass
        return "converted"
    finally:
        os.close(fd)


#: What is tried with each file: it returns an answer, or raises an error for the user.
TARGETS: dict[str, Callable[[Path], str]] = {"verify": verdict, "convert": conversion}


class Hang(BaseException):
    """Raised when a file takes too long."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Make the body raise MemoryError if it takes too much memory, and Hang if it takes too long."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, ((int(status["VmSize"].split()[0]) << 10) + BYTES, before[1]))
    handler = signal.signal(signal.SIGALRM, _hang)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def tried(target: Callable[[Path], str], path: Path) -> str:
    """Return the answer for a file, or the type of the error that refuses it.

    :raise Exception: any other error: the file has found a fault.
    """
    signal.alarm(SECONDS)
    try:
        return target(path)
    except PyxlError as error:
        if error.traceback:
            raise
        return type(error).__name__
    finally:
        signal.alarm(0)


def _hang(*_: object) -> None:
    raise Hang
