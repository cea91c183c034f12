"""How much memory a running domain is to have, and how much it may be told to have."""

from collections.abc import Callable

from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.block import read_number
from pyxl.ops.change import changing, point_of_no_return

Say = Callable[[str], None]


def set_memory(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, kb: int, say: Say) -> None:
    """Tell a domain to have ``kb`` KiB, which its balloon driver then gives back or takes; Xen gives it no more.

    :raise OperationError: it may not have so much, or another operation is in progress; nothing is changed.
    """
    with changing(xen, store, open_dm, "mem-set", domain, say):
        most = read_number(store, paths.memory(domain.domid, "static-max"))
        if 0 <= most < kb - max(0, read_number(store, paths.memory(domain.domid, "videoram"))):
            raise PyxlError(
                f"the domain may have {most >> 10} MiB at most",
                f"`pyxl mem-max {domain.domid} {-(-kb >> 10)}` lets it have more.",
            )
        point_of_no_return()
        xen.set_memory(domain.domid, kb)


def set_most(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, kb: int, say: Say) -> None:
    """Let a domain be told to have up to ``kb`` KiB.

    :raise OperationError: it is to have more, or another operation is in progress; nothing is changed.
    """
    with changing(xen, store, open_dm, "mem-max", domain, say):
        target = read_number(store, paths.memory(domain.domid, "target"))
        if kb < target:
            raise PyxlError(
                f"the domain is to have {target >> 10} MiB, which is more",
                f"`pyxl mem-set {domain.domid} {kb >> 10}` first makes it smaller.",
            )
        point_of_no_return()
        xen.set_most_memory(domain.domid, kb)
