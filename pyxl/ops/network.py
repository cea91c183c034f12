"""The network cards of a running guest: attach and detach one, list them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.block import backend_domid, read_number
from pyxl.ops.change import changing, point_of_no_return

Say = Callable[[str], None]
#: The hotplug script that libxl takes where none is named, and the bridge that it takes then.
DEFAULT_SCRIPT, DEFAULT_BRIDGE = "vif-bridge", "xenbr0"
_INTERFACES = "/sys/class/net"


class Nic(NamedTuple):
    """A network card of a running guest, as xenstore has it; a number that the guest's driver has not written is -1."""

    domid: int
    devid: int
    mac: str
    bridge: str
    state: int
    event_channel: int
    tx_ring_ref: int
    rx_ring_ref: int
    backend_domid: int
    backend: str


def nics(store: Store, domid: int) -> Iterator[Nic]:
    """Yield the network cards of a domain in xenstore's order, as xl does."""
    for number in store.children(paths.libxl_devices(domid, "vif")):
        ours, front = f"{paths.libxl_devices(domid, 'vif')}/{number}", paths.frontend(domid, "vif", number)
        if backend := store.read(f"{ours}/backend"):
            yield Nic(
                domid, int(number), store.read(f"{ours}/mac") or "", store.read(f"{ours}/bridge") or "",
                read_number(store, f"{front}/state"), read_number(store, f"{front}/event-channel"),
                read_number(store, f"{front}/tx-ring-ref"), read_number(store, f"{front}/rx-ring-ref"),
                backend_domid(backend), backend,
            )  # fmt: skip


def attach(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, nic: dict[str, Any], say: Say
) -> None:
    """Give a running guest a network card (a libxl_device_nic), which is then in its config.

    :raise OperationError: it is refused or failed; the guest is as it was.
    """
    with changing(xen, store, open_dm, "network-attach", domain, say):
        if "devid" in nic and nic["devid"] in (there.devid for there in nics(store, domain.domid)):
            raise PyxlError(f"the guest has a card {nic['devid']} already", "Without devid= it gets a free one.")
        _check_bridge(nic)
        point_of_no_return()
        xen.attach(domain.domid, "nic", json.dumps(nic))


def detach(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, wanted: str, say: Say
) -> None:
    """Take the network card with the number or the MAC ``wanted`` away.

    :raise OperationError: there is none, or it cannot be taken away.
    """
    with changing(xen, store, open_dm, "network-detach", domain, say):
        there = list(nics(store, domain.domid))
        found = [nic for nic in there if wanted.lower() in (str(nic.devid), nic.mac.lower())]
        if not found:
            has = ", ".join(f"{nic.devid} ({nic.mac})" for nic in there) or "none"
            raise PyxlError(f'the guest has no network card "{wanted}"', f"Its network cards: {has}.")
        point_of_no_return()
        xen.detach_nic(domain.domid, found[0].devid)


def _check_bridge(nic: dict[str, Any]) -> None:
    """Refuse a bridge that this host does not have: the script that would miss it is only waited for."""
    if nic.get("backend_domname") or Path(nic.get("script") or DEFAULT_SCRIPT).name != DEFAULT_SCRIPT:
        return
    bridge = nic.get("bridge") or DEFAULT_BRIDGE
    if not Path(_INTERFACES, bridge, "bridge").exists():
        raise PyxlError(f"this host has no bridge {bridge}", "Name one that it has with bridge=, or make it.")
