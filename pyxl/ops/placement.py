"""Where on this host a guest may run: its cpupool and the CPUs that its vcpus are pinned to."""

from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.ports import Hypervisor, Store

#: The cpupool that Xen starts guests in which name none.
_HOST_S_OWN = 0


def fit_placement(xen: Hypervisor, store: Store, config: GuestConfig) -> list[str]:
    """Have ``config`` name only a cpupool and CPUs that this host has, and say what it no longer names.

    A checkpoint may come from another host, or from before a pool was destroyed: libxl refuses a pool that it does not
    find, and Xen a pin to CPUs of which the pool has none.  ``config`` stays as it is where all is there.

    :raise XenError: Xen does not say which CPUs a pool has.
    :raise StoreError: xenstored does not answer.
    """
    pool, pins = config.placement
    if not pool and not pins:
        return []
    remarks = []
    number = _number(store, pool) if pool else _HOST_S_OWN
    cpus = set(xen.pool_cpus(number)) if number is not None else set()
    if pool and not cpus:
        why = "has no CPU" if number is not None else "is not on this host"
        remarks.append(f'cpupool "{pool}" {why}: the guest runs in the host\'s own')
        pool, cpus = "", set(xen.pool_cpus(_HOST_S_OWN))
    if lost := [vcpu for vcpu, pinned in enumerate(pins) if not cpus.intersection(pinned)]:
        missing = _listed(sorted({cpu for vcpu in lost for cpu in pins[vcpu]}))
        remarks.append(f"vcpu {_listed(lost)} was pinned to CPU {missing}, which its cpupool lacks: it runs on any")
        some_stay = len(lost) < len(pins)
        pins = [sorted(cpus) if vcpu in lost else pinned for vcpu, pinned in enumerate(pins)] if some_stay else []
    if remarks:
        config.place(pool, pins)
    return remarks


def _number(store: Store, pool: str) -> int | None:
    """Return the number of the cpupool with this name."""
    for number in store.children(paths.POOLS):
        if number.isdecimal() and store.read(paths.pool_name(int(number))) == pool:
            return int(number)
    return None


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
