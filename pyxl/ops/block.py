"""The disks of a running guest: attach and detach one, change the disc in a CD-ROM drive, list them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyxl.errors import PyxlError, XenError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.change import changing, point_of_no_return
from pyxl.ops.preflight_disks import check_not_in_use

Say = Callable[[str], None]
#: XenbusStateInitialising, where every running backend has been.
_INITIALISING = "1"


class Disk(NamedTuple):
    """A disk of a running guest, as xenstore has it; a number that the guest's driver has not written is -1."""

    domid: int
    devid: int
    vdev: str
    cdrom: bool
    writable: bool
    target: str
    state: int
    event_channel: int
    ring_ref: int
    backend_domid: int
    backend: str


def disks(store: Store, domid: int) -> Iterator[Disk]:
    """Yield the disks of a domain in xenstore's order, as xl does."""
    for number in store.children(paths.libxl_devices(domid, "vbd")):
        ours, front = f"{paths.libxl_devices(domid, 'vbd')}/{number}", paths.frontend(domid, "vbd", number)
        if backend := store.read(f"{ours}/backend"):
            yield Disk(
                domid, int(number), store.read(f"{ours}/dev") or "", store.read(f"{ours}/device-type") == "cdrom",
                store.read(f"{ours}/mode") == "w", _path(store.read(f"{ours}/params") or ""),
                read_number(store, f"{front}/state"), read_number(store, f"{front}/event-channel"),
                read_number(store, f"{front}/ring-ref"), backend_domid(backend), backend,
            )  # fmt: skip


def _path(params: str) -> str:
    """Return the target of a disk; libxl has the format before it where qemu is its backend: "qcow2:/…", "aio:/…"."""
    return params.partition(":")[2] if ":" in params else params


def read_number(store: Store, path: str) -> int:
    """Return the number at ``path``, which a guest may have written; -1 where there is none."""
    text = store.read(path) or ""
    return int(text) if text.isascii() and text.isdigit() else -1


def backend_domid(backend: str) -> int:
    """Return the domain whose backend's directory this is."""
    return int(backend.removeprefix(f"{paths.LOCAL_DOMAIN}/").partition("/")[0])


def attach(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, disk: dict[str, Any], say: Say
) -> None:
    """Give a running guest a disk (a libxl_device_disk), which is then in its config.

    :raise OperationError: it is refused or failed; the guest is as it was.
    """
    with changing(xen, store, open_dm, "block-attach", domain, say):
        vdev = disk["vdev"]
        if vdev in (there.vdev for there in disks(store, domain.domid)):
            raise PyxlError(f"the guest has a disk {vdev} already", "Name another vdev.")
        _check_target(xen, store, disk)
        point_of_no_return()
        xen.attach(domain.domid, "disk", json.dumps(disk))


def detach(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, wanted: str, say: Say, *, force: bool = False
) -> None:
    """Take the disk with the vdev or number ``wanted`` away: once the guest has released it, or by ``force`` at once.

    :raise OperationError: there is none, or the guest does not release it.
    """
    with changing(xen, store, open_dm, "block-detach", domain, say):
        vdev = _disk(store, domain.domid, wanted).vdev
        point_of_no_return()
        try:
            xen.detach_disk(domain.domid, vdev, force)
        except XenError as error:
            if not force:
                error.hint = (
                    "An older guest does not release a disk that it has mounted: unmount it there, then detach it\n"
                    "once more; --force takes it away from under the guest."
                )
            raise


def change_disc(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, disc: dict[str, Any], say: Say
) -> None:
    """Put ``disc`` (a libxl_device_disk; an empty one ejects) into the drive with its vdev.

    :raise OperationError: it is refused or failed; the drive is as it was, or the message says how it is.
    """
    operation = "cd-eject" if disc["format"] == "empty" else "cd-insert"
    with changing(xen, store, open_dm, operation, domain, say):
        drive = _disk(store, domain.domid, disc["vdev"])
        if not drive.cdrom:
            raise PyxlError(f"disk {disc['vdev']} is no CD-ROM drive", "`pyxl block-attach` gives a guest a disk.")
        if disc["format"] != "empty":
            _check_drive(store, drive)
            _check_target(xen, store, disc)
        point_of_no_return()
        xen.change_disc(domain.domid, json.dumps(disc | {"vdev": drive.vdev}))


def _disk(store: Store, domid: int, wanted: str) -> Disk:
    """Return the disk of that vdev or number.

    :raise PyxlError: there is none.
    """
    there = list(disks(store, domid))
    for disk in there:
        if wanted in (disk.vdev, str(disk.devid)):
            return disk
    has = ", ".join(disk.vdev for disk in there) or "none"
    raise PyxlError(f'the guest has no disk "{wanted}"', f"Its disks: {has}.")


def _check_drive(store: Store, drive: Disk) -> None:
    """Refuse a drive whose backend never started, as it was empty then: with a disc in it qemu 7.2 crashes."""
    if store.read(f"{drive.backend}/state") == _INITIALISING:
        raise PyxlError(
            f"drive {drive.vdev} was empty when the guest was started, and qemu may crash when a disc is put in",
            "Start the guest with any disc in the drive; from then on discs can be taken out and put in.",
        )


def _check_target(xen: Hypervisor, store: Store, disk: dict[str, Any]) -> None:
    """Refuse a target of this host that is missing, or that another domain has; who serves the others knows them."""
    path = disk.get("pdev_path")
    if not path or disk.get("script") or disk.get("backend_domname"):
        return
    if not Path(path).exists():
        raise PyxlError(f"disk {disk['vdev']} is missing: {path}")
    check_not_in_use(xen, store, [(disk["vdev"], path, bool(disk.get("readwrite")))])
