"""A snapshot of a logical volume: of a thin one in its pool, of another one with room of its own for all of it."""

import json
from pathlib import Path
from typing import NamedTuple

from pyxl.disks.disk import Disk, call
from pyxl.errors import PyxlError
from pyxl.formats.identity import own_path

_PACKAGE = "lvm2"
#: Of lvs, for a Volume's fields.
_COLUMNS = ("vg_name", "lv_name", "pool_lv", "lv_uuid")


class Volume(NamedTuple):
    """A logical volume; ``pool`` is the thin pool that it is in, empty for one that is in none."""

    group: str
    name: str
    pool: str
    uuid: str


class Lvm:
    """Snapshots, by lvcreate."""

    name = "lvm"
    shares_base = False

    def target(self, disk: Disk, old: str, new: str) -> Disk:
        volume = volume_of(disk.path)
        if volume is None:
            raise PyxlError(f"{disk.path} is no logical volume")
        return Disk(Path(f"/dev/{volume.group}/{own_path(volume.name, old, new)}"), disk.format)

    def make(self, disk: Disk, target: Disk) -> None:
        volume = volume_of(disk.path)
        if volume is None:
            raise PyxlError(f"{disk.path} is no logical volume")
        # A thin snapshot takes its room from the pool.
        how = ("-kn", "-ay") if volume.pool else ("-l", "100%ORIGIN")
        origin = f"{volume.group}/{volume.name}"
        call("lvcreate", "-q", "-y", "-s", "-n", target.path.name, *how, origin, needs=_PACKAGE)

    def remove(self, target: Disk) -> None:
        if volume_of(target.path) is not None:
            call("lvremove", "-q", "-f", f"{target.path.parent.name}/{target.path.name}", needs=_PACKAGE)

    def rename(self, disk: Disk, path: Path) -> None:
        call("lvrename", "-q", disk.path.parent.name, disk.path.name, path.name, needs=_PACKAGE)


def volume_of(device: Path) -> Volume | None:
    """Return the logical volume that a device is; None where it is none, or this host has no LVM."""
    try:
        text = call("lvs", "--reportformat", "json", "-o", ",".join(_COLUMNS), str(device), needs=_PACKAGE)
    except PyxlError:
        return None
    volumes = json.loads(text)["report"][0]["lv"]
    if not volumes:
        return None
    return Volume(*(volumes[0][column] for column in _COLUMNS))
