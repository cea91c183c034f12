"""What is done to a guest from outside without ending it: another name, an ACPI or CPU event, a SysRq."""

from collections.abc import Callable

from pyxl.errors import GuestError, PyxlError, UsageError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, Trigger
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.lookup import by_name, name_of
from pyxl.ops.settle import hold
from pyxl.ops.suspend import needs_help

Say = Callable[[str], None]


def rename(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, new: str, say: Say) -> None:
    """Give a guest another name; its next save and its next reboot have it, too.

    :raise UsageError: no guest can be found by that name.
    :raise Busy: an operation on the guest is in progress.
    :raise PyxlError: another domain has that name.
    """
    if not new or not new.isprintable() or "/" in new or (new.isascii() and new.isdigit()):
        raise UsageError(
            f'"{new}" cannot be the name of a guest',
            "A name is not digits alone, as domids are, and has no / and nothing that cannot be seen.",
        )
    old = name_of(store, domain.domid)
    with hold(xen, store, open_dm, "rename", domain.uuid, old, say):
        other = by_name(xen, store, new)
        if other is not None and other.domid != domain.domid:
            raise PyxlError(f'domain {other.domid} is called "{new}" already')
        xen.rename(domain.domid, old, new)


def trigger(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, event: Trigger, vcpu: int, say: Say
) -> None:
    """Press a guest's power, sleep or reset button, wake it from ACPI S3, or send one of its vcpus an NMI or INIT.

    :raise Busy: an operation on the guest is in progress.
    :raise XenError: it cannot be done to this guest.
    """
    with hold(xen, store, open_dm, "trigger", domain.uuid, name_of(store, domain.domid), say):
        xen.trigger(domain.domid, event, vcpu)


def sysrq(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, letter: str, say: Say) -> None:
    """Send a guest a SysRq, of which Linux does what its letter says.

    :raise Busy: an operation on the guest is in progress.
    :raise GuestError: it has no PV drivers, and would never see it.
    """
    with hold(xen, store, open_dm, "sysrq", domain.uuid, name_of(store, domain.domid), say):
        if not needs_help(xen, store, domain.domid):
            raise GuestError(f"domain {domain.domid} has no PV drivers, and would not see a SysRq")
        store.write(paths.control_sysrq(domain.domid), letter)
