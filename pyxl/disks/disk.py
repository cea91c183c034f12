"""What a way to copy a disk is, and the programs of the host that ways use."""

import ctypes
import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple, Protocol

from pyxl.checkpoint.durable import sync_directory
from pyxl.errors import PyxlError

#: Seconds that a program may take which makes or removes a copy: none of them moves data, but a busy disk is slow.
SECONDS = 120.0
#: A process's wish for a signal at the death of the one that has started it: linux/prctl.h.
_SET_PDEATHSIG = 1


class Disk(NamedTuple):
    """A file or device of this host, and how libxl calls its format: raw, qcow2, qcow, vhd, qed."""

    path: Path
    format: str


class Way(Protocol):
    """A way to copy disks; each call may raise PyxlError with the reason and its remedy."""

    name: str
    shares_base: bool
    """Whether a copy is destroyed when somebody writes to the disk that it was made of."""

    def target(self, disk: Disk, old: str, new: str) -> Disk:
        """Return what a copy for the guest ``new`` of a disk of the guest ``old`` will be; nothing is made."""
        ...

    def make(self, disk: Disk, target: Disk) -> None:
        """Make ``target`` a copy of ``disk`` as it is now, which may be written to; it is durable."""
        ...

    def remove(self, target: Disk) -> None:
        """Remove a copy, or what of it there is."""
        ...

    def rename(self, disk: Disk, path: Path) -> None:
        """Call a disk ``path``, which nothing is called; it is durable."""
        ...


def call(*argv: str, needs: str, seconds: float = SECONDS) -> str:
    """Run a program of the host, and return what it printed; ``needs`` is Debian's package of it.

    It ends when we die: what it made after that, nobody would take away.

    :raise PyxlError: it is missing, fails, or takes too long.
    """
    libc = ctypes.CDLL(None)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds,
            env={**os.environ, "LC_ALL": "C.UTF-8"}, start_new_session=True,
            preexec_fn=lambda: libc.prctl(_SET_PDEATHSIG, signal.SIGTERM),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise PyxlError(f"{argv[0]} is not installed", f"`apt install {needs}` brings it.") from error
    except subprocess.TimeoutExpired as error:
        raise PyxlError(f"{argv[0]} took longer than {seconds:.0f} s, and was ended: {' '.join(argv)}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise PyxlError(f"{argv[0]}: {said[0].removeprefix(f'{argv[0]}: ')}")
    return done.stdout


def remove_file(path: Path) -> None:
    """Remove a file durably, if it is there."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def rename_file(file: Path, path: Path) -> None:
    """Call a file by another name in its directory, durably."""
    file.rename(path)
    sync_directory(path.parent)


def sync(path: Path) -> None:
    """Have a file, and its name, on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(path.parent)
