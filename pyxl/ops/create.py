"""The create journey: config, preflight, build, monitor, unpause."""

from collections.abc import Callable

from pyxl.checkpoint.undo import Undo
from pyxl.checkpoint.worker import Worker
from pyxl.formats.guest_config import GuestConfig
from pyxl.interrupt import last_chance
from pyxl.model.phases import After, Owed, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops.preflight import can_be_built
from pyxl.ops.room import room_for
from pyxl.ops.settle import end_helper, hold
from pyxl.xen import toolstacks

#: Seconds between two tries to make libxl give up.
_LOOK_SECONDS = 0.02
#: Seconds that a save-helper may take to see the end of its stream.
HELPER_SECONDS = 10.0


def create(
    xen: Hypervisor, store: Store, open_dm: OpenDm, config: GuestConfig, report: Report,
    *, paused: bool = False, start_monitor: Callable[[int], None] | None = None,
) -> int:  # fmt: skip
    """Build a domain and start it, and return its domid.

    ``start_monitor`` is called with the domid before the guest runs, so that no shutdown goes unseen.

    :raise OperationError: it failed; nothing of the domain is left, or the message says what is.
    """
    with Undo(f'create "{config.name}"') as undo:
        undo.keep(hold(xen, store, open_dm, "create", config.uuid, config.name, report.remark))
        undo.note(after=(After.PAUSE if paused else After.RESUME).name)
        can_be_built(xen, store, config)
        with room_for(xen, undo, config, report):
            undo.enter(Phase.BUILD)
            report.step("building the domain")
            building = Building(xen, undo, config.uuid, lambda: xen.create(config.to_json()))
            domid = building.result()
        start(xen, undo, domid, paused, start_monitor)
    return domid


class Building:
    """libxl building a domain of ``uuid`` in a thread, with the undo of that.

    ``cut`` makes libxl give up early, where there is a way; it returns False while it is too early for that.
    """

    def __init__(
        self, xen: Hypervisor, undo: Undo, uuid: str, build: Callable[[], int], cut: Callable[[], bool] | None = None
    ) -> None:
        self._worker = Worker(build)
        self._xen = xen
        self._uuid = uuid
        self._cut = cut
        undo.by(Owed.DOMAIN, self._destroy)
        self._worker.start()

    def result(self, tick: Callable[[], None] = lambda: None, interval: float | None = None) -> int:
        """Return the domid of the domain when it is built; ``tick`` is called every ``interval`` seconds meanwhile."""
        return self._worker.result(tick, interval)

    def _destroy(self) -> str | None:
        """Wait until libxl is done, and destroy the domain that it has left, whole or half built."""
        if self._cut is not None:
            while self._worker.running and not self._cut():
                self._worker.wait(_LOOK_SECONDS)
            self._worker.wait(HELPER_SECONDS)
            if self._worker.running:
                self._end_helper()
        self._worker.wait()
        return ", ".join(destroy(self._xen, domid) for domid in self._built()) or None

    def _end_helper(self) -> None:
        """End the save-helper that libxl waits for: it makes no progress."""
        domids = self._built()
        for helper in toolstacks.look().helpers:
            if helper.domid in domids:
                end_helper(helper.pid, helper.domid)

    def _built(self) -> list[int]:
        return [domain.domid for domain in self._xen.domains() if domain.uuid == self._uuid and not domain.dying]


def start(xen: Hypervisor, undo: Undo, domid: int, paused: bool, start_monitor: Callable[[int], None] | None) -> None:
    """Put a newly built domain under its monitor and let it run."""
    undo.enter(Phase.MONITOR, domid=domid)
    if start_monitor is not None:
        start_monitor(domid)
    last_chance()
    undo.by(Owed.END, lambda: destroy(xen, domid))
    undo.enter(Phase.UNPAUSE)
    if not paused:
        xen.unpause(domid)


def destroy(xen: Hypervisor, domid: int) -> str:
    """Destroy a domain that never ran, and say so."""
    xen.destroy(domid)
    return f"domain {domid} destroyed"
