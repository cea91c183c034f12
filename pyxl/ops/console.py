"""What a guest said last on its console, where this host keeps that in a file."""

import os
import re
import stat

from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths

_LINES = 5
_BYTES = 4096
_MAX_LETTERS = 200  # of a line
#: What moves a terminal's cursor or colours its text.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


def last_words(config: GuestConfig) -> str:
    """Return the last lines of a guest's console, indented, with the file's name above; empty where no file has any.

    xenconsoled keeps the PV console where it is told to (`--log=guest`), qemu a serial port that is `file:…`.
    """
    files = [paths.console_log(config.name)]
    files += [
        reference.path.removeprefix("file:")
        for reference in config.references()
        if reference.what in ("serial", "serial_list") and reference.path.removeprefix("file:").startswith("/")
    ]
    ends = [(changed, path, lines) for path in files for changed, lines in [_end_of(path)] if lines]
    if not ends:
        return ""
    _, path, lines = max(ends)
    return "\n".join([f"{path} ends with:", *(f"  {line}" for line in lines)])


def _end_of(path: str) -> tuple[float, list[str]]:
    """Return when a file changed last, and its last lines."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return 0.0, []
            text = os.pread(fd, _BYTES, max(0, status.st_size - _BYTES)).decode(errors="replace")
        finally:
            os.close(fd)
    except OSError:
        return 0.0, []
    lines = [line.strip() for line in _ESCAPES.sub("", text).splitlines()]
    return status.st_mtime, [line[:_MAX_LETTERS] for line in lines if line][-_LINES:]
