"""Copies of disks that somebody has a record of: planned, made, known again, and taken away."""

import os
from collections.abc import Iterable
from pathlib import Path

from pyxl.disks.disk import Disk
from pyxl.disks.lvm import volume_of
from pyxl.disks.ways import AUTO, fitting, way
from pyxl.errors import PyxlError, UsageError
from pyxl.model.copied import Copied


def base_of(copied: Copied) -> Disk:
    """Return the disk that a copy was made of."""
    return Disk(Path(copied.base), copied.base_format)


def disk_of(copied: Copied) -> Disk:
    """Return the copy as a disk."""
    return Disk(Path(copied.path), copied.format)


def planned(vdev: str, disk: Disk, how: str, old: str, new: str, *, base_stays: bool) -> Copied:
    """Return the copy of a disk of the guest ``old`` that would be made for ``new``; nothing is made.

    ``how`` is a way's name, or auto; ``base_stays`` says that nobody will write to the disk.

    :raise PyxlError: the disk is missing, cannot be copied so, or what would be made is there.
    """
    if not disk.path.exists():
        raise PyxlError(f"disk {vdev} is missing: {disk.path}")
    its = fitting(disk, base_stays=base_stays) if how == AUTO else way(how)
    if its.shares_base and not base_stays:
        raise UsageError(f"{its.name} needs a disk that nobody writes to, and {old} does to {vdev}")
    target = its.target(disk, old, new)
    if os.path.lexists(target.path):
        raise PyxlError(f"disk {vdev} of {new} would be {target.path}, which is there already")
    return Copied(vdev, its.name, str(disk.path), disk.format, str(target.path), target.format)


def make(copied: Copied, made: list[Copied]) -> Copied:
    """Make a copy, which is among those that were ``made`` before it is; return it with its size and mark.

    :raise PyxlError: it cannot be made, or something of that name is there.
    """
    if os.path.lexists(copied.path):
        raise PyxlError(f"{copied.path} is there already")
    made.append(copied)
    way(copied.way).make(base_of(copied), disk_of(copied))
    return copied._replace(size=size_of(copied.path), mark=mark_of(copied.path))


def take_away(made: Iterable[Copied]) -> str:
    """Remove copies that nobody uses; return what could not be, in words that follow others."""
    left = []
    for each in made:
        try:
            way(each.way).remove(disk_of(each))
        except (PyxlError, OSError) as error:
            left.append(f"{each.path} is left: {error}")
    return "".join(f"; {words}" for words in left)


def remove(belonging: Iterable[Copied]) -> str:
    """Remove copies that belong to a checkpoint; return what is left, in words that follow others.

    What is not what was made stays: it is somebody else's now.
    """
    left = []
    for each in belonging:
        if os.path.lexists(each.path):
            why = changed(each)
            left.append(f"; {each.path} is left: {why}" if why else take_away([each]))
    return "".join(left)


def changed(copied: Copied) -> str:
    """Return why a copy is not what was made; nothing where it is, as far as can be told.

    A volume that was written to cannot be told from one that was not.
    """
    if not Path(copied.path).exists():
        return f"{copied.path} is missing"
    if (size := size_of(copied.path)) != copied.size:
        return f"{copied.path} has {size} bytes, and had {copied.size}"
    if mark_of(copied.path) != copied.mark:
        return f"{copied.path} was written to, or is another of that name"
    return ""


def size_of(path: str) -> int:
    """Return the size of a file or block device, in bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def mark_of(path: str) -> str:
    """Return what a file or volume is known by: inode and time of the last write, or LVM's uuid; nothing of others."""
    status = Path(path).stat()
    if Path(path).is_file():
        return f"{status.st_ino}.{status.st_mtime_ns}"
    volume = volume_of(Path(path))
    return volume.uuid if volume else ""
