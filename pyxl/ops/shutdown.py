"""Ask guests to power off or to reboot, all at once, and wait for their ends."""

import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import NamedTuple

from pyxl.checkpoint.journal import Journal
from pyxl.errors import GuestError, PyxlError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason, Trigger
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import hold
from pyxl.ops.suspend import REQUEST as SUSPEND
from pyxl.ops.suspend import needs_help

#: Seconds for a guest to acknowledge; as libxl's.
ACKNOWLEDGE_SECONDS = 60.0

#: Takes the name of a domain and a line about it.
Say = Callable[[str, str], None]


class Order(Enum):
    """What guests are asked for: its name, the word for a guest with PV drivers, and for any other an ACPI event."""

    SHUTDOWN = "shutdown", "poweroff", Trigger.POWER, "power"
    REBOOT = "reboot", "reboot", Trigger.RESET, "reset"

    def __init__(self, command: str, request: str, trigger: Trigger, event: str) -> None:
        self.command = command
        self.request = request
        self.trigger = trigger
        self.event = event


class _Asked(NamedTuple):
    """A guest that has been asked, held until it has acknowledged."""

    domain: DomainInfo
    name: str
    journal: Journal


def ask(
    xen: Hypervisor, store: Store, open_dm: OpenDm, order: Order, domains: list[DomainInfo], say: Say, *, acpi: bool
) -> dict[int, PyxlError]:
    """Ask each guest, and wait until all have acknowledged; return by domid why one was not asked, or has not.

    ``acpi`` sends those an ACPI event that have no PV drivers, whether they heed it or not.  A request that a guest has
    not taken in time, or before an interrupt, is withdrawn.
    """
    errors: dict[int, PyxlError] = {}
    asked: dict[int, _Asked] = {}
    try:
        for domain in domains:
            name = name_of(store, domain.domid)
            try:
                journal = hold(xen, store, open_dm, order.command, domain.uuid, name, partial(say, name))
                asked[domain.domid] = _Asked(domain, name, journal)
                if not _has_to_answer(xen, store, order, domain.domid, name, say, acpi):
                    asked.pop(domain.domid).journal.close()
            except PyxlError as error:
                errors[domain.domid] = _named(order, domain.domid, name, error)
                if domain.domid in asked:
                    asked.pop(domain.domid).journal.close()
        _until_all_have_taken(xen, store, order, asked)
        for domid, (_, name, journal) in list(asked.items()):
            if store.write_if(paths.control_shutdown(domid), order.request, ""):
                silent = GuestError(
                    f"the guest did not acknowledge the request within {ACKNOWLEDGE_SECONDS:.0f} s; request withdrawn",
                    f"Are its PV drivers alive?  `pyxl console {domid}` may tell; `pyxl destroy {domid}` ends it.",
                )
                errors[domid] = _named(order, domid, name, silent)
            journal.close()
            del asked[domid]
    finally:
        for domid, (_, name, journal) in asked.items():
            if store.write_if(paths.control_shutdown(domid), order.request, ""):
                say(name, f'domain {domid} "{name}": request withdrawn')
            journal.close()
    return errors


def wait(xen: Hypervisor, store: Store, domains: list[DomainInfo], say: Say, *, until_gone: bool) -> None:
    """Wait until each guest has shut down or is gone, and say how it ended; with ``until_gone`` until all are gone.

    A guest that suspends meanwhile is being saved, which is no end.
    """
    waiting = {domain.domid: (domain.uuid, name_of(store, domain.domid)) for domain in domains}
    for domid, (_, name) in waiting.items():
        say(name, f'waiting for domain {domid} "{name}"')
    told: set[int] = set()
    with store.watch(paths.RELEASE_DOMAIN) as released:
        while waiting:
            for domid, (uuid, name) in list(waiting.items()):
                now = xen.domain(domid)
                gone = now is None or now.uuid != uuid or now.dying
                if not gone and (now is None or now.shutdown_reason is None or now.suspended):
                    continue
                if now is not None and now.uuid == uuid and now.shutdown_reason is not None and domid not in told:
                    told.add(domid)
                    say(name, f'domain {domid} "{name}" has shut down: {_reason(now)}')
                if gone and (until_gone or domid not in told):
                    say(name, f'domain {domid} "{name}" is gone')
                if gone or not until_gone:
                    del waiting[domid]
            if waiting:
                released.wait(None)


def everyone(xen: Hypervisor, store: Store) -> list[DomainInfo]:
    """Return all guests: all domains but dom0, the one in which xenstored may run, and those that are going away."""
    keeper = store.read(paths.XENSTORED_DOMID)
    return [domain for domain in xen.domains() if domain.domid and not domain.dying and str(domain.domid) != keeper]


def _has_to_answer(
    xen: Hypervisor, store: Store, order: Order, domid: int, name: str, say: Say, acpi: bool
) -> bool:
    """Ask a guest, and tell whether it has to acknowledge that.

    :raise PyxlError: it is not asked.
    """
    domain = _can_be_asked(xen, order, domid)
    if domain.shutdown_reason is not None:
        say(name, f'domain {domid} "{name}" has shut down already: {_reason(domain)}')
        return False
    if needs_help(xen, store, domid):
        if store.read(paths.control_shutdown(domid)) == SUSPEND:
            raise GuestError(
                "the guest is being asked to suspend",
                "Wait until it is saved.",
            )
        say(name, f'asking domain {domid} "{name}" for a {order.command}')
        store.write(paths.control_shutdown(domid), order.request)
        return True
    if not acpi:
        raise GuestError(
            f"PV control interface not available: external graceful {order.command} not possible",
            f'Use "-F" to fallback to ACPI {order.event} event.',
        )
    without = f'domain {domid} "{name}": PV control interface not available'
    say(name, f"{without}: sending ACPI {order.event} button event")
    xen.trigger(domid, order.trigger, 0)
    return False


def _until_all_have_taken(xen: Hypervisor, store: Store, order: Order, asked: dict[int, _Asked]) -> None:
    """Wait for the guests to acknowledge, and let go of each that has; those that have not in time stay."""
    deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
    with store.watch(paths.RELEASE_DOMAIN, *map(paths.control_shutdown, asked)) as changed:
        while asked and (left := deadline - time.monotonic()) > 0:
            for domid in [domid for domid, each in asked.items() if _has_taken(xen, store, order, each.domain)]:
                asked.pop(domid).journal.close()
            if asked:
                changed.wait(left)


def _can_be_asked(xen: Hypervisor, order: Order, domid: int) -> DomainInfo:
    """Return the domain as it is now: one that runs, or that has shut down where that is what is wanted.

    :raise GuestError: it cannot answer.
    """
    domain = xen.domain(domid)
    if domain is None or domain.dying:
        raise GuestError("the domain has just gone away")
    if domain.suspended:
        raise GuestError("the guest is suspended", "If nobody is saving it, `pyxl recover` lets it go on.")
    if domain.shutdown_reason is not None and order is not Order.SHUTDOWN:
        raise GuestError(f"the guest has shut down already: {_reason(domain)}", f"`pyxl destroy {domid}` removes it.")
    if domain.paused and domain.shutdown_reason is None:
        raise GuestError("the domain is paused, and cannot answer", f"`pyxl unpause {domid}` first.")
    return domain


def _has_taken(xen: Hypervisor, store: Store, order: Order, asked: DomainInfo) -> bool:
    """Tell whether a guest has acknowledged, or has ended without that."""
    if store.read(paths.control_shutdown(asked.domid)) != order.request:
        return True
    now = xen.domain(asked.domid)
    return now is None or now.dying or now.uuid != asked.uuid or now.shutdown_reason is not None


def _named(order: Order, domid: int, name: str, error: PyxlError) -> PyxlError:
    return GuestError(f'{order.command} {domid} "{name}": {error}', error.hint)


def _reason(domain: DomainInfo) -> str:
    reason = domain.shutdown_reason
    return reason.name.lower() if isinstance(reason, ShutdownReason) else f"reason {reason}"
