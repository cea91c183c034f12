"""The repository that a trial's checkpoint goes to: it has one checkpoint already, which must never be lost."""

import re
import shutil
from pathlib import Path

from tests.xen.agent.host import said_by
from tests.xen.faults.dom0.places import GUEST, HOME

#: A repository with one checkpoint of the guest, copied for each trial.
BASE = HOME / "base"


def lay_out(place: Path) -> None:
    """Put a repository with a checkpoint of the running guest to ``place``.

    :raise RuntimeError: it could not be made.
    """
    if not BASE.exists():
        status, said = said_by("pyxl", "checkpoint", GUEST, BASE)
        if status:
            raise RuntimeError(f"no checkpoint of the guest: {said}")
    shutil.copytree(BASE, place, dirs_exist_ok=True)


def numbers(place: Path) -> list[int]:
    """Return the numbers of a repository's checkpoints."""
    return sorted(int(path.stem) for path in (place / "manifests").glob("[0-9]*.manifest"))


def left(place: Path) -> list[str]:
    """Return what an ended checkpoint should not have left: unfinished files, and packs that no manifest needs."""
    found = [str(path) for path in place.glob("*/.*")]
    needed = "".join(path.read_bytes()[:4096].decode("latin-1") for path in (place / "manifests").glob("[0-9]*"))
    return found + [str(path) for path in (place / "packs").glob("[0-9]*") if f'"{path.name}"' not in needed]


def damaged(place: Path) -> str:
    """Return what is wrong with any checkpoint that is listed, empty if nothing is."""
    for number in numbers(place):
        status, said = said_by("pyxl", "verify", f"{place}@{number}")
        if status:
            return re.sub(r"\s+", " ", said)
    return ""
