"""Check that no other guest uses a disk, whatever name either has for it."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops.lookup import name_of

_KINDS = ("vbd", "qdisk", "vbd3")
_LOOP_MAJOR = 7
#: What a file or device is, whatever its name: (is it a device, device number, inode).
Identity = tuple[bool, int, int]


def check_not_in_use(xen: Hypervisor, store: Store, disks: list[tuple[str, str, bool]]) -> None:
    """Refuse a disk (vdev, path, may write) that another domain has, unless neither may write.

    :raise PyxlError: which domain has it.
    """
    wanted = {what: (vdev, path, write) for vdev, path, write in disks if (what := identity(path)) is not None}
    if not wanted:
        return
    for domid, backend in backends(store):
        there = identity(path_of(store, backend))
        if there is None or there not in wanted:
            continue
        vdev, path, write = wanted[there]
        writes = "w" in (store.read(backend + "/mode") or "")
        domain = xen.domain(domid)
        if domain is None or not (write or writes):
            continue
        how = "being destroyed" if domain.dying else "writing to it" if writes else "reading it"
        raise PyxlError(
            f'disk {vdev} is in use: domain {domid} "{name_of(store, domid)}" is {how} ({path})',
            f"End that domain with `pyxl destroy {domid}`, or give this guest a disk of its own.",
        )


def backends(store: Store) -> Iterator[tuple[int, str]]:
    """Yield every disk of every domain: its domid and its backend's directory."""
    for kind in _KINDS:
        for domid in store.children(f"{paths.backends(kind)}"):
            for device in store.children(f"{paths.backends(kind)}/{domid}") if domid.isdigit() else []:
                yield int(domid), f"{paths.backends(kind)}/{domid}/{device}"


def path_of(store: Store, backend: str) -> str:
    """Return the path of a disk; libxl has the format before a qdisk's: "qcow2:/…", "aio:/…"."""
    return "/" + (store.read(backend + "/params") or "").partition("/")[2]


def under(device: int, sysfs: Path = Path("/sys/dev/block")) -> Iterator[Identity]:
    """Yield the identities of a block device and of all that it is made of: disks, volumes, arrays, files (loop)."""
    numbers = [f"{os.major(device)}:{os.minor(device)}"]
    for number in numbers:  # it grows
        place = sysfs / number
        major, _, minor = number.partition(":")
        yield True, os.makedev(int(major), int(minor)), 0
        with suppress(OSError):
            status = Path((place / "loop/backing_file").read_text().rstrip("\n")).stat()
            yield False, status.st_dev, status.st_ino
        parts = [place.resolve().parent / "dev"] if (place / "partition").exists() else place.glob("slaves/*/dev")
        for part in parts:
            with suppress(OSError):
                numbers.append(part.read_text().strip())


def identity(path: str) -> Identity | None:
    """Return the identity of a file or block device, None for anything else; a loop device is the file behind it."""
    try:
        status = Path(path).stat()
        if stat.S_ISBLK(status.st_mode):
            if os.major(status.st_rdev) != _LOOP_MAJOR:
                return True, status.st_rdev, 0
            behind = f"/sys/dev/block/{_LOOP_MAJOR}:{os.minor(status.st_rdev)}/loop/backing_file"
            status = Path(Path(behind).read_text().rstrip("\n")).stat()
    except OSError:
        return None
    return (False, status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
