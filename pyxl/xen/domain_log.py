"""pyxl's own log of a domain, beside libxl's lines; imports next to nothing, as the monitor of each guest does."""

import os
import time


def write(path: str, text: str) -> None:
    """Add a line; a log that cannot be kept is no reason to leave a guest alone."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} pyxl[{os.getpid()}] {text}\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(fd, line.encode(errors="replace"))
    except OSError:
        pass
    os.close(fd)
