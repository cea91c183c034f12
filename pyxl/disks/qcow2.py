"""A qcow2 file over a disk: it holds what its guest writes, and reads all else from the disk below."""

from pathlib import Path

from pyxl.disks.disk import Disk, call, remove_file, rename_file, sync
from pyxl.formats.identity import own_path
from pyxl.model import paths


class Qcow2:
    """Overlays, by qemu-img."""

    name = "qcow2"
    shares_base = True

    def target(self, disk: Disk, old: str, new: str) -> Disk:
        place = Path(paths.CLONES) / disk.path.name if disk.path.is_block_device() else disk.path
        return Disk(Path(own_path(str(place), old, new)).with_suffix(".qcow2"), "qcow2")

    def make(self, disk: Disk, target: Disk) -> None:
        base = ("-b", str(disk.path.absolute()), "-F", "vpc" if disk.format == "vhd" else disk.format)
        call("qemu-img", "create", "-q", "-f", "qcow2", *base, str(target.path), needs="qemu-utils")
        sync(target.path)

    def remove(self, target: Disk) -> None:
        remove_file(target.path)

    def rename(self, disk: Disk, path: Path) -> None:
        rename_file(disk.path, path)
