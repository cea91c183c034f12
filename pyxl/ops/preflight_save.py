"""The checks before a guest is saved; none of them touches it.

A remark is a doubt that does not stop the save, in one line.
"""

from pyxl.errors import DeviceModelError, PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.model.ports import DeviceModel, Hypervisor, Store
from pyxl.ops.suspend import needs_help

#: Devices that a guest can lose: what libxl detaches while it runs.
_UNPLUGGED = ("vbd", "vif")
_CLOSING, _CLOSED = "5", "6"
_PARAM_ACPI_S_STATE = 14


def can_be_saved(xen: Hypervisor, store: Store, domain: DomainInfo) -> list[str]:
    """Refuse a guest whose suspend would fail, or whose state no checkpoint can keep, and return remarks.

    :raise PyxlError: the reason and its remedy.
    """
    _check_running(domain)
    _check_not_debugged(domain)
    _check_awake(xen, domain)
    remarks = _check_drivers(store, domain) if needs_help(xen, store, domain.domid) else []
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


def nothing_added_late(config: GuestConfig) -> None:
    """Refuse a guest whose device model has devices that it has not at its start: a restored one refuses their state.

    :raise PyxlError: which devices.
    """
    if late := config.late_controllers():
        raise PyxlError(
            f"no restore can give the guest back what libxl adds to a device model that runs: {', '.join(late)}",
            "Detach it first: `xl usbctrl-detach`; `usb = 1` in a config gives a controller that a checkpoint keeps.",
        )


def keeps_topology(config: GuestConfig) -> None:
    """Refuse a guest with vNUMA: no stream carries its topology, and libxl does not save such a guest at all.

    :raise PyxlError: it has one.
    """
    if config.has_vnuma:
        raise PyxlError(
            "the guest has a NUMA topology of its own (vnuma), which a checkpoint does not keep",
            "Its kernel would go on with a topology that is no longer true.",
        )


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


def _check_not_debugged(domain: DomainInfo) -> None:
    """Refuse a guest under a debugger: its breakpoints are in its memory, and whoever restores it knows of none."""
    if domain.debugged:
        raise PyxlError(
            "a debugger is attached to the guest, whose breakpoints would be saved as the guest's own code",
            "Detach it first (gdbsx ends when its gdb does).",
        )


def _check_awake(xen: Hypervisor, domain: DomainInfo) -> None:
    """Refuse a guest in ACPI S3: no stream says that it sleeps, so it would be resumed without having been woken."""
    if domain.hvm and xen.hvm_param(domain.domid, _PARAM_ACPI_S_STATE):
        raise PyxlError(
            "the guest sleeps (ACPI S3), which no checkpoint can keep: what is restored from it would never wake",
            f"`pyxl trigger {domain.domid} s3resume` wakes it; save it then.",
        )


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
