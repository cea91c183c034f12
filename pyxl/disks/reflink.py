"""A file that has its blocks in common with another one until either is written to: on XFS, Btrfs, OCFS2."""

import fcntl
import os
import tempfile
from pathlib import Path

from pyxl.checkpoint.durable import sync_directory
from pyxl.disks.disk import Disk, remove_file, rename_file
from pyxl.errors import PyxlError
from pyxl.formats.identity import own_path

#: _IOW(0x94, 9, int) of linux/fs.h.
FICLONE = 0x40049409


class Reflink:
    """Copies by the file system."""

    name = "reflink"
    shares_base = False

    def target(self, disk: Disk, old: str, new: str) -> Disk:
        return Disk(Path(own_path(str(disk.path), old, new)), disk.format)

    def make(self, disk: Disk, target: Disk) -> None:
        source = os.open(disk.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            new = os.open(target.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(new, os.fstat(source).st_mode & 0o777)
                fcntl.ioctl(new, FICLONE, source)
                os.fsync(new)
            finally:
                os.close(new)
        except OSError as error:
            raise PyxlError(f"{target.path} cannot be a copy of {disk.path}: {error.strerror}") from error
        finally:
            os.close(source)
        sync_directory(target.path.parent)

    def remove(self, target: Disk) -> None:
        remove_file(target.path)

    def rename(self, disk: Disk, path: Path) -> None:
        rename_file(disk.path, path)


def knows(file: Path) -> bool:
    """Tell whether the file system of ``file`` has such copies."""
    try:
        with file.open("rb") as source, tempfile.TemporaryFile(dir=file.parent) as probe:
            fcntl.ioctl(probe.fileno(), FICLONE, source.fileno())
    except OSError:
        return False
    return True
