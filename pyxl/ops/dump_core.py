"""The dump-core journey: the guest is paused, libxc writes its memory, the guest goes on, the file gets its name."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.undo import Undo
from pyxl.checkpoint.worker import Worker
from pyxl.errors import PyxlError
from pyxl.interrupt import held, last_chance
from pyxl.model.domain import DomainInfo
from pyxl.model.phases import After, Owed, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops.lookup import name_of
from pyxl.ops.preflight_target import can_be_written
from pyxl.ops.settle import hold

#: Of each page a core has the number, too.
_NUMBER_BYTES, _PAGE_BYTES = 8, 4096
#: How often the report gets to know how much is written, where it wants to; in seconds.
_LOOK_SECONDS = 0.5


def dump_core(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, target: Path, report: Report
) -> int:
    """Write a domain's memory and registers to an ELF core, and return its size in bytes.

    The guest is paused meanwhile, so that the core is of one moment.

    :raise OperationError: it failed; the guest goes on, and the target is as it was.
    """
    domid, name = domain.domid, name_of(store, domain.domid)
    with Undo(f'dump-core {domid} "{name}"') as undo:
        undo.keep(hold(xen, store, open_dm, "dump-core", domain.uuid, name, report.remark))
        target = target.resolve()
        if target.exists() and not target.is_file():
            raise PyxlError(f"{target} is no file", "A core is written to a file, which is new or replaced.")
        now = xen.domain(domid)
        if now is None or now.uuid != domain.uuid:
            raise PyxlError("the domain is gone")
        size = now.memory_kb * 1024
        needed = size + size // _PAGE_BYTES * _NUMBER_BYTES
        can_be_written(xen, store, target, needed, destroys=False, force=False, what="core")

        undo.enter(Phase.OPEN_FILE, durable=True, domid=domid, target=str(target))
        with held():
            file = NewFile(target)
            undo.by(Owed.FILE, lambda: _discard(file))

        # A guest that somebody has paused, or that has shut down, stands still as it is.
        pausing = not now.paused and now.shutdown_reason is None
        guest = _Paused(xen, domid, f"/proc/self/fd/{file.fd}", pausing)
        undo.by(Owed.GUEST, guest.go_on)
        undo.enter(Phase.DUMP, after=(After.RESUME if pausing else After.PAUSE).name)
        report.step("writing the core")
        guest.dump(lambda: report.progress(os.fstat(file.fd).st_size, size), report.interval or _LOOK_SECONDS)
        guest.go_on()

        undo.enter(Phase.COMMIT)
        report.step("waiting for the disk")
        size = os.fstat(file.fd).st_size
        syncing = Worker(file.sync)
        syncing.start()
        syncing.result()
        last_chance()
        file.commit()
        undo.by(Owed.FILE, lambda: None)
    return size


class _Paused:
    """A guest that is paused while libxc writes its core to ``path``; one that stood still before stays so."""

    def __init__(self, xen: Hypervisor, domid: int, path: str, pausing: bool) -> None:
        self._xen = xen
        self._domid = domid
        self._pausing = pausing
        self._paused = False
        self._worker = Worker(lambda: xen.core_dump(domid, path))

    def dump(self, tick: Callable[[], None], interval: float) -> None:
        with held():
            if self._pausing:
                self._xen.pause(self._domid)
                self._paused = True
            self._worker.start()
        self._worker.result(tick, interval)

    def go_on(self) -> str | None:
        """Let it run again, after libxc has ended; harmless when done twice."""
        if self._worker.running:
            with _no_file_grows():
                self._worker.wait()
        if not self._paused:
            return None
        with held():  # Xen counts pauses, and minds an unpause too many
            self._xen.unpause(self._domid)
            self._paused = False
        return "guest unpaused"


@contextmanager
def _no_file_grows() -> Iterator[None]:
    """Have every write of this process fail that would make a file larger: libxc knows no other way to stop early."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _discard(file: NewFile) -> str:
    file.close()
    return "nothing written"
