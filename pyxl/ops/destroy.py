"""End a domain at once, unless somebody is at work on it."""

from contextlib import nullcontext

from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import hold


def destroy(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, *, force: bool = False) -> None:
    """Destroy a domain; with ``force`` also in the middle of another operation on it, which then fails.

    :raise Busy: an operation on it is in progress.
    """
    name = name_of(store, domain.domid)
    with nullcontext() if force else hold(xen, store, open_dm, "destroy", domain.uuid, name, lambda _: None):
        if xen.domain(domain.domid) is not None:  # what an operation that died had owed may have been just this
            xen.destroy(domain.domid)
