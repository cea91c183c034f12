"""Which checkpoint of which repository a path names, if it names one.

Imports little: every restore asks.
"""

import os
from pathlib import Path
from typing import NamedTuple

#: The file that makes a directory a repository.
MARKER = "pyxl-repository"


class Reference(NamedTuple):
    """A checkpoint of a repository, as a user names it: REPO, or REPO@ and which of them."""

    path: Path
    which: str


def reference(path: Path) -> Reference | None:
    """Return which checkpoint of which repository a path names, None where it names something else."""
    text = os.fspath(path)
    if is_repository(path):
        return Reference(path, "")
    if os.path.lexists(path):
        return None
    at = text.find("@")
    while at > 0:
        if is_repository(Path(text[:at])):
            return Reference(Path(text[:at]), text[at + 1 :])
        at = text.find("@", at + 1)
    return None


def is_repository(path: Path) -> bool:
    """Tell whether a repository is at a path."""
    return (path / MARKER).is_file()
