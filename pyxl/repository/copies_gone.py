"""Copies of disks whose checkpoints are being removed: none goes before its checkpoint, and none is forgotten."""

import json
from collections.abc import Collection
from contextlib import suppress

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.owner import is_roots_alone
from pyxl.disks import copies
from pyxl.errors import StreamError
from pyxl.formats.stream import trailer
from pyxl.model.copied import Copied
from pyxl.repository.layout import Layout
from pyxl.repository.repository import Repository

#: Copies of checkpoints that were being removed, by their numbers.
_NOTE = "copies-gone"


def note(repository: Repository, gone: Collection[int]) -> None:
    """Note, durably, which copies belong to checkpoints that are about to be removed.

    :raise OSError: it cannot be noted, and nothing may be removed.
    """
    noted = _noted(repository)
    for number in gone:
        if found := _belonging(repository, number):
            noted[str(number)] = found
    if noted:
        with NewFile(repository.path / _NOTE) as file:
            file.write(json.dumps(noted).encode())
            file.sync()
            file.commit()


def remove(repository: Repository) -> str:
    """Remove the copies of checkpoints that are gone, and return what could not be, in words that follow others."""
    if not (noted := _noted(repository)):
        return ""
    gone = [each for number, found in noted.items() for each in found
            if not repository.manifest_path(int(number)).exists()]  # fmt: skip
    if left := copies.remove(gone):
        return left
    (repository.path / _NOTE).unlink()
    return ""


def _noted(repository: Repository) -> dict[str, list[Copied]]:
    with suppress(FileNotFoundError, ValueError, TypeError):
        if not is_roots_alone((repository.path / _NOTE).stat()):
            return {}
        text = json.loads((repository.path / _NOTE).read_text())
        return {number: [Copied(*each) for each in found] for number, found in text.items()}
    return {}


def _belonging(repository: Repository, number: int) -> list[Copied]:
    """Return the copies that belong to a checkpoint; none of one that is not whole, or not root's alone to write to."""
    with suppress(StreamError, OSError):
        if not is_roots_alone(repository.manifest_path(number).stat()):
            return []
        manifest = repository.parsed(number, repository.read_manifest(number))
        found = trailer.at_end(manifest.tail, Layout(manifest).size)
        return list(found.identity.disks) if found else []
    return []
