"""End a domain at once, unless somebody is at work on it."""

import time
from collections.abc import Callable
from contextlib import nullcontext

from pyxl.errors import XenError
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import hold

#: Seconds that another toolstack's destroy of the same domain may take until the domain is gone.
OTHER_SECONDS = 5.0


def destroy(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, report: Report, *, force: bool = False
) -> None:
    """Destroy a domain; with ``force`` also in the middle of another operation on it, which then fails.

    :raise Busy: an operation on it is in progress.
    :raise XenError: it is there still.
    """
    name = name_of(store, domain.domid)
    with nullcontext() if force else hold(xen, store, open_dm, "destroy", domain.uuid, name, report.remark):
        if xen.domain(domain.domid) is not None:  # what an operation that died had owed may have been just this
            bring_down(xen, domain.domid, report.remark)


def bring_down(xen: Hypervisor, domid: int, say: Callable[[str], None]) -> None:
    """Destroy a domain, and only say what went wrong when it is gone all the same.

    Of two toolstacks that destroy one domain at the same time, libxl fails in one.

    :raise XenError: it is there still.
    """
    try:
        xen.destroy(domid)
    except XenError as error:
        end = time.monotonic() + OTHER_SECONDS
        while (domain := xen.domain(domid)) is not None and not domain.dying:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        say(f"domain {domid} is gone; another toolstack was at it, or something of it is left: {error}")
