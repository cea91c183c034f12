"""The disks of a guest kept in step with its memory: copied with a checkpoint, and put back with it."""

import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.undo import Undo
from pyxl.disks import copies
from pyxl.disks.disk import Disk, remove_file
from pyxl.disks.lvm import volume_of
from pyxl.disks.ways import way
from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.identity import own_path
from pyxl.model.copied import Copied
from pyxl.model.phases import Owed, Phase
from pyxl.ops.checkpoint import open_checkpoint

#: What is in no name of a volume.
_ODD = re.compile(r"[^A-Za-z0-9_.+-]+")
#: Seconds that the clocks of a file system and of a checkpoint may be apart: the latter has no fractions.
_MOMENT = 1.0


def disks_to_copy(config: GuestConfig, how: str, checkpoint: str) -> list[Copied]:
    """Return the copies of a guest's writable disks that belong to a new checkpoint, named after it; nothing is made.

    ``how`` is a way's name, or auto.

    :raise PyxlError: a disk cannot be copied.
    """
    if elsewhere := config.disks_elsewhere():
        raise PyxlError(f"disk {elsewhere[0]} is no file or device of this host, and cannot be copied")
    called = f"{_ODD.sub('.', Path(checkpoint).name)}-{_stamp()}"
    writable = [(vdev, Disk(Path(path), config.disk_format(vdev))) for vdev, path, write in config.disks() if write]
    found = [copies.planned(vdev, disk, how, config.name, called, base_stays=False) for vdev, disk in writable]
    for each in found:
        if each.way == "lvm" and (volume := volume_of(Path(each.base))) and not volume.pool:
            raise PyxlError(
                f"{each.base} is in no thin pool: its snapshot would end with it",
                "Have the disk in a thin pool, or copy it with a hook.",
            )
    return found


def belonging_to(file: Path) -> tuple[Copied, ...]:
    """Return the copies of disks that belong to a checkpoint.

    :raise PyxlError: it is none, or not a whole one.
    """
    with open_checkpoint(file) as checkpoint:
        return checkpoint.disks


def remove_checkpoint(file: Path) -> str:
    """Remove a checkpoint file and the copies of disks that belong to it; return what is left, in words that follow
    others.

    :raise PyxlError: the file is no whole checkpoint, and nothing was removed.
    """
    if not file.exists():
        return ""
    if left := copies.remove(belonging_to(file)):
        return left
    remove_file(file)
    return ""


class Aside(NamedTuple):
    """A disk that steps aside for a copy of ``copied``; ``path`` is its name meanwhile, empty where there is none."""

    copied: Copied
    path: str


def put_back(undo: Undo, belonging: Sequence[Copied], name: str) -> list[Aside]:
    """Have the disks of a guest that does not run be as its checkpoint has them; return what stepped aside for them.

    What was there is put back if the operation fails.

    :raise PyxlError: a copy is not what was saved.
    """
    for each in belonging:
        if why := copies.changed(each):
            raise PyxlError(f"disk {each.vdev} of the checkpoint is not what was saved: {why}")
    called = f"{name}-before-{_stamp()}"
    asides = []
    for each in belonging:
        there = Path(each.base).exists()
        asides.append(Aside(each, own_path(each.base, name, called) if there else ""))
    undo.by(Owed.ASIDE, lambda: as_before(asides))
    undo.enter(Phase.DISKS_BACK, durable=True, aside=json.dumps(asides))
    for each, path in asides:
        its = way(each.way)
        if path:
            its.rename(copies.base_of(each), Path(path))
        its.make(copies.disk_of(each), copies.base_of(each))
    return asides


def as_before(asides: Sequence[Aside]) -> str:
    """Put disks back that stepped aside, if they have, and return a few words.

    :raise PyxlError: one cannot be put back.
    """
    for each, path in asides:
        its, disk = way(each.way), copies.base_of(each)
        if not path:
            its.remove(disk)
        elif os.path.lexists(path):
            its.remove(disk)
            its.rename(Disk(Path(path), each.base_format), disk.path)
    return "disks as before"


def forget(asides: Sequence[Aside]) -> str:
    """Remove disks that stepped aside for good; return what could not be removed."""
    left = []
    for each, path in asides:
        try:
            if path:
                way(each.way).remove(Disk(Path(path), each.base_format))
        except (PyxlError, OSError) as error:
            left.append(f"{path} is left: {error}")
    return "; ".join(left)


def noted(text: str) -> list[Aside]:
    """Return what a journal has of disks that stepped aside."""
    return [Aside(Copied(*each), path) for each, path in json.loads(text)]


def check_stood_still(vdev: str, disk: Path, saved: float | None, *, has_copy: bool = False) -> None:
    """Refuse a disk that was written to after its checkpoint was made; a device does not tell.

    ``has_copy``: `restore --disks` would put it back.

    :raise PyxlError: since when.
    """
    if saved is None or not disk.is_file():
        return
    changed = disk.stat().st_mtime
    if changed > saved + _MOMENT:
        at, of = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)) for when in (changed, saved))
        raise PyxlError(
            f"disk {vdev} has gone on without the checkpoint: {disk} was written to at {at}, it is of {of}",
            "A guest destroys the file system of a disk that has changed under it."
            + (" `--disks` puts it back as it was then." if has_copy else "")
            + " Where you have put it back yourself,",
        )


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
