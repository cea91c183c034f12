"""A copy of a file byte by byte: where nothing else is possible, and somebody asks for it."""

from pathlib import Path

from pyxl.disks.disk import Disk, call, remove_file, rename_file, sync
from pyxl.formats.identity import own_path

#: A large disk takes its time.
_SECONDS = 24 * 3600.0


class Whole:
    """Copies by cp, which leaves holes as they are."""

    name = "copy"
    shares_base = False

    def target(self, disk: Disk, old: str, new: str) -> Disk:
        return Disk(Path(own_path(str(disk.path), old, new)), disk.format)

    def make(self, disk: Disk, target: Disk) -> None:
        paths = str(disk.path), str(target.path)
        call("cp", "--sparse=always", "--no-clobber", *paths, needs="coreutils", seconds=_SECONDS)
        sync(target.path)

    def remove(self, target: Disk) -> None:
        remove_file(target.path)

    def rename(self, disk: Disk, path: Path) -> None:
        rename_file(disk.path, path)
