"""A lab's lock: one process at a time may change the lab, with its children."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.errors import LabError

# The lock files that a parent of ours holds, separated by colons.
HELD = "PYXL_LAB_LOCKED"


@contextmanager
def held(path: Path, what: str, busy: str, hint: str) -> Iterator[None]:
    """Hold the lock ``path`` for the body; do nothing if this process or a parent of it holds it.

    ``what`` is written into the lock for others to read; ``busy`` begins the message if it is taken.

    :raise LabError: somebody else holds it.
    """
    token = os.fspath(path)
    tokens = [word for word in os.environ.get(HELD, "").split(":") if word]
    if token in tokens:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise LabError(f"{busy} is in use by {owner}", hint) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} ({what})\n")
        file.flush()
        os.environ[HELD] = ":".join([*tokens, token])
        try:
            yield
        finally:
            os.environ[HELD] = ":".join(tokens)
            file.truncate(0)
