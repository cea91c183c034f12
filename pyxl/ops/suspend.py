"""Ask a guest to suspend and wait until it has (xen-spec.md 7), and let it go on again.

A guest with PV drivers must help, and is asked over xenstore; any other is suspended by hypercall.
"""

import time

from pyxl.errors import GuestError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.model.ports import DeviceModel, Hypervisor, Store

#: Seconds for the guest to acknowledge, then for it to be suspended; as libxl's.
ACKNOWLEDGE_SECONDS = 60.0
SUSPEND_SECONDS = 60.0
#: Seconds for a guest to suspend after it took a request that is then called off.
CALL_OFF_SECONDS = 10.0
REQUEST = "suspend"
PARAM_CALLBACK_IRQ = 0


def needs_help(xen: Hypervisor, store: Store, domid: int) -> bool:
    """Tell whether the guest itself has to carry out a suspend: it has PV drivers."""
    return store.read(paths.domain_type(domid)) != "hvm" or bool(xen.hvm_param(domid, PARAM_CALLBACK_IRQ))


def suspend(xen: Hypervisor, store: Store, domid: int) -> None:
    """Suspend a running guest.

    :raise GuestError: it does not acknowledge, does not suspend, or ends in another way.
    """
    if needs_help(xen, store, domid):
        _ask(xen, store, domid)
    else:
        xen.shutdown(domid, ShutdownReason.SUSPEND)
    if not _wait(xen, store, domid, SUSPEND_SECONDS):
        raise GuestError(
            f"the guest acknowledged but was not suspended within {SUSPEND_SECONDS:.0f} s",
            "Something in it cannot be frozen (Linux gives up after 20 s): a frozen file system, a server that is away;"
            " its kernel's log names the task.",
        )


def call_off(xen: Hypervisor, store: Store, domid: int) -> bool:
    """Withdraw a suspend request, or wait for a guest that has taken it: only then can it be resumed.

    Return whether there was one to withdraw.

    :raise GuestError: the guest ended meanwhile.
    """
    if withdraw(store, domid):
        return True
    _wait(xen, store, domid, CALL_OFF_SECONDS)
    return False


def withdraw(store: Store, domid: int) -> bool:
    """Take back a suspend request that the guest has not acknowledged; False where there is none."""
    return store.write_if(paths.control_shutdown(domid), REQUEST, "")


def resume(xen: Hypervisor, store: Store, device_model: DeviceModel | None, domid: int) -> None:
    """Let a suspended guest go on in place: device model first, then its vcpus, as libxl does.

    :raise DeviceModelError: the vcpus run, but the device model did not answer.
    """
    try:
        if device_model is not None:
            device_model.resume()
    finally:
        xen.resume(domid)
        store.resumed(domid)


def _ask(xen: Hypervisor, store: Store, domid: int) -> None:
    """Write the request and wait for the guest to take it, or to end.

    :raise GuestError: it does not take it, or ended in another way.
    """
    path = paths.control_shutdown(domid)
    with store.watch(path, paths.RELEASE_DOMAIN) as changed:
        store.write(path, REQUEST)
        deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
        while store.read(path) == REQUEST:
            _not_ended(xen, domid)
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestError(
                    f"the guest did not acknowledge the suspend request within {ACKNOWLEDGE_SECONDS:.0f} s",
                    "Are its PV drivers alive?  Its kernel's log may tell.",
                )
            changed.wait(left)


def _wait(xen: Hypervisor, store: Store, domid: int, seconds: float) -> bool:
    """Wait until the guest is suspended, ``seconds`` at most, and tell whether it is.

    :raise GuestError: it ended in another way.
    """
    deadline = time.monotonic() + seconds
    with store.watch(paths.RELEASE_DOMAIN) as released:
        while not _not_ended(xen, domid).suspended:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            released.wait(left)
    return True


def _not_ended(xen: Hypervisor, domid: int) -> DomainInfo:
    """Return the domain, which is running or suspended.

    :raise GuestError: it ended in another way.
    """
    domain = xen.domain(domid)
    if domain is None or domain.dying:
        raise GuestError("the domain went away while it was to suspend")
    if domain.shutdown_reason is None or domain.suspended:
        return domain
    reason = domain.shutdown_reason
    said = reason.name.lower() if isinstance(reason, ShutdownReason) else f"reason {reason}"
    raise GuestError(f"the guest shut down while it was to suspend: {said}")
