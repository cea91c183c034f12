"""Find the domain that a user means: by domid, or by name (xl's rule: all digits is a domid)."""

from typing import TYPE_CHECKING

from pyxl.errors import PyxlError
from pyxl.model import paths

if TYPE_CHECKING:  # as little as can be is imported here: every command that names a domain passes through
    from pyxl.model.domain import DomainInfo
    from pyxl.model.ports import Hypervisor, Store


def name_of(store: "Store", domid: int) -> str:
    """Return the name of a domain, empty when it has none."""
    return store.read(paths.name(domid)) or ""


def find(xen: "Hypervisor", store: "Store", wanted: str) -> "DomainInfo":
    """Return the domain called ``wanted``.

    :raise PyxlError: there is none.
    """
    domain = xen.domain(int(wanted)) if wanted.isascii() and wanted.isdigit() else by_name(xen, store, wanted)
    if domain is None or domain.dying:
        raise PyxlError(f'there is no domain "{wanted}"', "`pyxl list` shows those that exist.")
    return domain


def find_guest(xen: "Hypervisor", store: "Store", wanted: str) -> "DomainInfo":
    """Return the domain called ``wanted``, which may not be the control domain.

    :raise PyxlError: there is none, or it is dom0.
    """
    domain = find(xen, store, wanted)
    if domain.domid == 0:
        raise PyxlError("domain 0 is this host's control domain, not a guest")
    return domain


def by_name(xen: "Hypervisor", store: "Store", name: str) -> "DomainInfo | None":
    """Return the living domain of that name."""
    for child in store.children(paths.LOCAL_DOMAIN):
        if child.isdigit() and name_of(store, int(child)) == name:
            domain = xen.domain(int(child))
            if domain is not None and not domain.dying:
                return domain
    return None
