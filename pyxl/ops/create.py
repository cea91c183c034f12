"""The create journey: config, preflight, build, monitor, unpause."""

from collections.abc import Callable

from pyxl.formats.guest_config import GuestConfig
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops.interrupt import held
from pyxl.ops.preflight import can_be_built
from pyxl.ops.report import Report
from pyxl.ops.undo import Undo


def create(
    xen: Hypervisor, store: Store, config: GuestConfig, report: Report,
    *, paused: bool = False, start_monitor: Callable[[int], None] | None = None,
) -> int:  # fmt: skip
    """Build a domain and start it, and return its domid.

    ``start_monitor`` is called with the domid before the guest runs, so that no shutdown goes unseen.

    :raise OperationError: it failed, and nothing of the domain is left, or the message says what is.
    """
    with Undo(f'create "{config.name}"') as undo:
        undo.step = "preflight"
        can_be_built(xen, store, config)
        undo.step = "build"
        report.step("building the domain")
        with held():
            domid = xen.create(config.to_json())
            owe_destroy(xen, undo, domid)
        start(xen, undo, domid, paused, start_monitor)
    return domid


def owe_destroy(xen: Hypervisor, undo: Undo, domid: int) -> None:
    """Owe the destruction of a domain that was just built."""

    def destroy() -> str:
        xen.destroy(domid)
        return f"domain {domid} destroyed"

    undo.owe(destroy)


def start(xen: Hypervisor, undo: Undo, domid: int, paused: bool, start_monitor: Callable[[int], None] | None) -> None:
    """Put a newly built domain under its monitor and let it run."""
    undo.step = "monitor"
    if start_monitor is not None:
        start_monitor(domid)
    undo.step = "unpause"
    if not paused:
        xen.unpause(domid)
