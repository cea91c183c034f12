"""A program of the admin's that copies disks which pyxl knows no way for; pyxl/disks/README.md has its contract."""

from pathlib import Path

from pyxl.disks.disk import Disk, call
from pyxl.errors import PyxlError


class Hook:
    """Copies by a program: `PROGRAM target|make|remove|rename …`."""

    shares_base = False

    def __init__(self, program: str) -> None:
        self.name = f"hook:{program}"
        self._program = program

    def target(self, disk: Disk, old: str, new: str) -> Disk:
        said = self._call("target", str(disk.path), disk.format, old, new).splitlines()
        if len(said) != 1 or not said[0].startswith("/"):
            raise PyxlError(f"{self._program} target: one line with an absolute path was expected, not {said!r}")
        return Disk(Path(said[0]), disk.format)

    def make(self, disk: Disk, target: Disk) -> None:
        self._call("make", str(disk.path), disk.format, str(target.path))

    def remove(self, target: Disk) -> None:
        self._call("remove", str(target.path))

    def rename(self, disk: Disk, path: Path) -> None:
        self._call("rename", str(disk.path), str(path))

    def _call(self, *words: str) -> str:
        return call(self._program, *words, needs="what your site calls it")
