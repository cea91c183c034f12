"""Start a guest's monitor (helper/monitor.py)."""

import os
import sys

from pyxl.ops import programs


def command(domid: int, uuid: str, name: str) -> list[str]:
    """Return the command line of a guest's monitor, which also says to others whose it is; its Python is this one's."""
    return [sys.executable, "-IS", "-X", "utf8", programs.find(programs.MONITOR), str(domid), uuid, name]


def in_background(command: list[str], log_path: str) -> int:
    """Start a process that outlives this one and its terminal, and return its pid; what it says goes to ``log_path``.

    :raise OSError: it cannot be started.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:  # it acts on its guest's end all the same
        log = os.dup(null)
    streams = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((null, log, log))]
    try:
        return os.posix_spawn(command[0], command, os.environ, file_actions=streams, setsid=True)
    finally:
        os.close(null)
        os.close(log)
