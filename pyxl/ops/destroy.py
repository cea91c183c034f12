"""Destroy a domain at once, unless another operation on it is in progress."""

import time
from collections.abc import Callable
from contextlib import nullcontext

from pyxl.errors import XenError
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import hold

#: Seconds that another toolstack may take to destroy the same domain.
OTHER_SECONDS = 5.0


def destroy(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, report: Report, *, force: bool = False
) -> None:
    """Destroy a domain; with ``force`` also in the middle of another operation on it, which then fails.

    :raise Busy: an operation on it is in progress.
    :raise XenError: it is still there.
    """
    name = name_of(store, domain.domid)
    with nullcontext() if force else hold(xen, store, open_dm, "destroy", domain.uuid, name, report.remark):
        if xen.domain(domain.domid) is not None:  # an operation that died may have owed just this
            bring_down(xen, domain.domid, report.remark)


def bring_down(xen: Hypervisor, domid: int, say: Callable[[str], None]) -> None:
    """Destroy a domain; if libxl fails but the domain is gone, only report the error.

    When two toolstacks destroy one domain at the same time, libxl fails in one of them.

    :raise XenError: it is still there.
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
