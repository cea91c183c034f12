"""The checks before a guest is saved; none of them touches it.

A remark is a doubt that does not stop the save, in one line.
"""

import os
from pathlib import Path

from pyxl.errors import DeviceModelError, PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.model.ports import DeviceModel, Hypervisor, Store
from pyxl.ops.suspend import needs_help

#: A stream is the guest's pages and, for each batch of 1024 gfns up to 4 GiB, its list: some 8 MiB.
STREAM_OVERHEAD = 16 << 20
#: Devices that a guest can lose: what libxl detaches while it runs.
_UNPLUGGED = ("vbd", "vif")
_CLOSING, _CLOSED = "5", "6"


def can_be_saved(xen: Hypervisor, store: Store, domain: DomainInfo, target: Path | None) -> list[str]:
    """Refuse a save whose suspend or file would fail, and return remarks; ``target`` is None for a descriptor.

    :raise PyxlError: the reason and its remedy.
    """
    if target is not None:
        _check_target(target)
    _check_running(domain)
    remarks = []
    if needs_help(xen, store, domain.domid):
        remarks += _check_drivers(store, domain)
    if target is not None:
        _check_room(target, domain.memory_kb * 1024 + STREAM_OVERHEAD)
    return remarks + _unplugged(store, domain.domid)


def device_model_can_save(device_model: DeviceModel | None) -> None:
    """Refuse a save whose device model cannot save its state; without its answer libxl cannot tell the guest's config.

    :raise PyxlError: the reason and its remedy.
    """
    if device_model is None:
        return
    try:
        blockers = device_model.blockers()
    except DeviceModelError as error:
        error.hint = "If its process is stopped (T in `ps`), `kill -CONT` it; one that has died does not come back."
        raise
    if blockers:
        raise PyxlError(
            f"the device model cannot save its state: {'; '.join(blockers)}",
            "Stop using that device in the guest, or take it out of the guest's config.",
        )


def nothing_passed_through(config: GuestConfig) -> None:
    """Refuse a guest that has hardware of this host, by its ``config`` of now.

    :raise PyxlError: which hardware.
    """
    if passed := config.passed_through():
        raise PyxlError(
            f"the guest has devices of this host for itself, whose state nobody can save: {', '.join(passed)}",
            "Detach them first: `xl pci-detach`, `xl usbdev-detach`.",
        )


def _check_target(target: Path) -> None:
    directory = target.resolve().parent
    if not directory.is_dir():
        raise PyxlError(f"there is no directory {directory}", f"`mkdir -p {directory}` makes it.")
    if target.is_dir():
        raise PyxlError(f"{target} is a directory", f"Name a file in it, such as {target / 'checkpoint'}.")
    place = directory if target.is_file() or not target.exists() else target
    if not os.access(place, os.W_OK):
        read_only = os.statvfs(place).f_flag & os.ST_RDONLY
        why = "it is on a read-only file system" if read_only else "its permissions or attributes forbid it"
        raise PyxlError(f"{place} cannot be written to: {why}", "Name a file elsewhere, or change that.")


def _check_running(domain: DomainInfo) -> None:
    if domain.dying:
        raise PyxlError("the domain is being destroyed; there is nothing to save")
    if domain.suspended:
        raise PyxlError(
            "the domain is suspended already, by a save that is running or did not end",
            "If no save is running, `pyxl recover` lets the guest go on.",
        )
    if domain.shutdown_reason is not None:
        reason = domain.shutdown_reason
        said = reason.name.lower() if isinstance(reason, ShutdownReason) else str(reason)
        raise PyxlError(f"the domain has shut down ({said}); there is nothing to save")


def _check_drivers(store: Store, domain: DomainInfo) -> list[str]:
    """Check a guest whose PV drivers must help with a suspend (feature-suspend: xen-spec.md 8.1)."""
    request = paths.control_shutdown(domain.domid)
    if domain.paused:
        raise PyxlError(
            "the domain is paused, and its PV drivers must help with a suspend", f"`pyxl unpause {domain.domid}` first."
        )
    if pending := store.read(request):
        raise PyxlError(
            f'the guest was asked for "{pending}" already, and has not taken that request yet',
            f"Wait until it has; where it never will, `xenstore-write {request} ''` withdraws it.",
        )
    able = store.read(paths.control_feature(domain.domid, "suspend"))
    if able == "0":
        raise PyxlError(
            "the guest's PV drivers say that it cannot suspend",
            "It may be unable only now, as while it boots or installs; else its drivers or kernel need an update.",
        )
    if not able:
        return ["the guest does not say whether it can suspend; it may still be booting"]
    return []


def _unplugged(store: Store, domid: int) -> list[str]:
    """Return a remark for each device that is being detached: the restored guest may connect it again."""
    return [
        f"{kind} {device} is being detached; the restored guest may have it again"
        for kind in _UNPLUGGED
        for device in store.children(f"{paths.domain(domid)}/device/{kind}")
        if store.read(f"{paths.domain(domid)}/device/{kind}/{device}/state") in (_CLOSING, _CLOSED)
    ]


def _check_room(target: Path, needed: int) -> None:
    if target.exists() and not target.is_file():
        return  # a pipe or device has no size of its own
    directory = target.resolve().parent
    room = os.statvfs(directory)
    free = room.f_bavail * room.f_frsize
    if free < needed:
        raise PyxlError(
            f"{directory} has {free >> 20} MiB free, the checkpoint needs up to {needed >> 20} MiB",
            "Make room, or name a file elsewhere; an old checkpoint stays until the new one is whole.",
        )
