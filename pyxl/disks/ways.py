"""All ways to copy a disk, by the names that the command line has for them, and which one fits a disk."""

from pyxl.disks import reflink
from pyxl.disks.disk import Disk, Way
from pyxl.disks.hook import Hook
from pyxl.disks.lvm import Lvm, volume_of
from pyxl.disks.qcow2 import Qcow2
from pyxl.disks.reflink import Reflink
from pyxl.disks.whole import Whole
from pyxl.errors import PyxlError, UsageError

AUTO = "auto"
_HOOK = "hook:"
_WAYS: dict[str, Way] = {way.name: way for way in (Reflink(), Qcow2(), Lvm(), Whole())}


def way(name: str) -> Way:
    """Return a way by its name.

    :raise UsageError: there is none of that name.
    """
    if name.startswith(_HOOK) and name.removeprefix(_HOOK).startswith("/"):
        return Hook(name.removeprefix(_HOOK))
    if name not in _WAYS:
        raise UsageError(f"a way to copy disks is {', '.join((AUTO, *_WAYS))} or hook:/PROGRAM, not {name}")
    return _WAYS[name]


def fitting(disk: Disk, *, base_stays: bool) -> Way:
    """Return the way that fits a disk; ``base_stays`` says that nobody will write to it.

    :raise PyxlError: none does.
    """
    if disk.path.is_block_device():
        volume = volume_of(disk.path)
        # Of a snapshot that is in no pool there can be no other; and each would need room for all of it.
        if base_stays and not (volume and volume.pool):
            return _WAYS["qcow2"]
        if volume is not None:
            return _WAYS["lvm"]
        raise PyxlError(f"{disk.path} is a device of a kind that cannot be copied", "--copy=hook:/PROGRAM may.")
    if reflink.knows(disk.path):
        return _WAYS["reflink"]
    if base_stays:
        return _WAYS["qcow2"]
    raise PyxlError(
        f"{disk.path} is being written to, and its file system cannot share blocks",
        "`--copy=copy` copies all of it; or have disks on XFS, Btrfs or LVM.",
    )
