"""The save journey, top to bottom in the order that it happens (architecture: 6, "save").

Every phase owes its undo from the moment that it is entered; nothing is destroyed before the file is whole.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.summed import SummedFile, SummedPipe, summed
from pyxl.checkpoint.undo import StillOwed, Undo
from pyxl.checkpoint.worker import Worker
from pyxl.errors import DeviceModelError, DeviceModelTimeout, GuestError, HelperError, PyxlError, StoreError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import libxl_v2, trailer, xl_header
from pyxl.interrupt import held, last_chance
from pyxl.model.domain import DomainInfo
from pyxl.model.phases import After, Owed, Phase
from pyxl.model.ports import DeviceModel, Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops.destroy import bring_down
from pyxl.ops.helper_run import OK, Handler, SaveHelper
from pyxl.ops.lookup import name_of
from pyxl.ops.preflight_save import can_be_saved, device_model_can_save, nothing_passed_through
from pyxl.ops.settle import hold
from pyxl.ops.suspend import call_off, resume, suspend

#: Seconds between two looks at how far the save-helper is, where nobody wants to see it.
LOOK_SECONDS = 1.0


class SaveOrder(NamedTuple):
    """What to save and how.

    ``target`` is a path, or a descriptor such as standard output; ``config`` replaces the domain's own config in the
    file; ``keep_domid`` asks a restore for the same domid.
    """

    domain: DomainInfo
    target: Path | int
    after: After = After.DESTROY
    config: GuestConfig | None = None
    keep_domid: bool = False

    @property
    def path(self) -> Path | None:
        """The target as it is known to everybody; None for a descriptor."""
        return None if isinstance(self.target, int) else self.target.resolve()

    def __str__(self) -> str:
        return "standard output" if isinstance(self.target, int) else str(self.target)


class Saved(NamedTuple):
    """A checkpoint that is whole and durable: ``size`` in bytes, times in seconds."""

    name: str
    size: int
    seconds: float
    suspended_seconds: float


def save(xen: Hypervisor, store: Store, open_dm: OpenDm, order: SaveOrder, report: Report) -> Saved:
    """Save a domain to a file.

    :raise OperationError: it failed; the guest runs, the target is as it was, or the message says what is not so.
    """
    started = time.monotonic()
    domid = order.domain.domid
    name = name_of(store, domid)
    suspended_at = started
    with Undo(f'save {domid} "{name}"') as undo:
        undo.keep(hold(xen, store, open_dm, "save", order.domain.uuid, name, report.remark))
        undo.note(domid=domid, after=order.after.name)
        domain = _still_there(xen, order.domain)
        for remark in can_be_saved(xen, store, domain, order.path):
            report.log(remark)
        device_model = open_dm(domain, store)
        device_model_can_save(device_model)
        living = GuestConfig(xen.config_json(domid), f"domain {domid}")
        nothing_passed_through(living)
        guest = _Guest(xen, store, device_model, domid)
        undo.by(Owed.GUEST, guest.resume_after_failure)

        undo.enter(Phase.OPEN_FILE, durable=order.path is not None, target=str(order.path or ""))
        with held():
            file = NewFile(order.target)
            stream = summed(file)
            undo.by(Owed.FILE, lambda: _discard(file, undo.phase, stream))
            helper = SaveHelper(stream.fd, domid, report.log)
            undo.by(Owed.HELPER, helper.close)
        undo.note(helper=helper.pid)

        undo.enter(Phase.CONFIG)
        config = order.config or living
        config.set_domid(domid if order.keep_domid else 0)
        stream.write(xl_header.encode(config.to_json().encode()) + libxl_v2.start())

        device_state: list[bytes] = []

        def suspend_guest() -> int:
            nonlocal suspended_at
            undo.enter(Phase.SUSPEND)
            report.step("suspending the guest")
            suspended_at = time.monotonic()
            guest.suspend()
            undo.enter(Phase.DEVICE_MODEL)
            if device_model is not None:
                device_state.append(device_model.stop_and_save())
            undo.enter(Phase.MEMORY)
            report.step("writing memory")
            return OK["suspend"]

        def tick() -> int:
            stream.check()  # a disk that fails, before all of memory was written to it
            done = stream.size()
            if report.interval is not None:
                report.progress(done, max(domain.memory_kb * 1024, done))
            return done

        requests: dict[str, Handler] = {
            "suspend": suspend_guest,
            # The device model writes nothing any more when the first page is sent: there is nothing to log.
            "switch_qemu_logdirty": lambda *_: OK["switch_qemu_logdirty"],
        }
        try:
            helper.serve(requests, tick, report.interval or LOOK_SECONDS)
        except HelperError:
            stream.check()  # what a pipe's target refused with tells more than that the pipe is broken
            raise
        helper.close()

        undo.enter(Phase.DEVICE_MODEL_STATE)
        if device_model is not None:
            if keys := device_model.xenstore_data():
                stream.write(libxl_v2.emulator_xenstore_data(device_model.emulator_id, keys))
            stream.write(libxl_v2.emulator_context(device_model.emulator_id, device_state[0]))
        stream.write(libxl_v2.end())
        sums, covered = stream.finish(), stream.size()
        version = "" if device_model is None else device_model.version
        identity = trailer.identity(domain.uuid, name, time.time(), os.uname().nodename, xen.release(), version)
        end = trailer.encode(trailer.Trailer(covered, sums, identity))
        file.write(end)
        size = covered + len(end)

        undo.enter(Phase.COMMIT)
        report.step("waiting for the disk")
        report.progress(size, size)
        syncing = Worker(file.sync)
        syncing.start()
        syncing.result()
        last_chance()
        file.commit()
        undo.enter(Phase.SETTLE)
        try:
            guest.settle(order.after, report.remark)
        except PyxlError as error:
            said = f"{order} is whole, but the domain is not {order.after.value}: {error}"
            raise PyxlError(said) from error
        file.close()
        ended = time.monotonic()
    return Saved(name, size, ended - started, ended - suspended_at)


def _still_there(xen: Hypervisor, domain: DomainInfo) -> DomainInfo:
    """Return the domain as it is now, under the lock: another operation may just have ended it.

    :raise PyxlError: it is gone.
    """
    now = xen.domain(domain.domid)
    if now is None or now.uuid != domain.uuid:
        raise PyxlError("the domain is gone")
    return now


def _discard(file: NewFile, phase: Phase, stream: SummedFile | SummedPipe) -> str | None:
    """Close a file that does not become a checkpoint, and say so; nothing of one that has its name already."""
    has_name = file.committed
    stream.close()
    file.close()
    if has_name:
        return None
    return "nothing written" if Owed.GUEST in phase.owes else "guest still running, nothing written"


class _Guest:
    """The guest between the suspend request and the end of the save, and how to let it go on."""

    def __init__(self, xen: Hypervisor, store: Store, device_model: DeviceModel | None, domid: int) -> None:
        self._xen = xen
        self._store = store
        self._device_model = device_model
        self._domid = domid
        self._asked = False

    def suspend(self) -> None:
        """Have it suspend.

        :raise GuestError: it does not.
        """
        self._asked = True
        suspend(self._xen, self._store, self._domid)

    def settle(self, after: After, say: Callable[[str], None]) -> None:
        """Leave the domain as the user wants it; xl pauses before it resumes, so that no instruction runs."""
        if after is After.DESTROY:
            bring_down(self._xen, self._domid, say)
            return
        if after is After.PAUSE:
            self._xen.pause(self._domid)
        resume(self._xen, self._store, self._device_model, self._domid)

    def resume_after_failure(self) -> str:
        """Withdraw a request that still stands, resume the guest if it is suspended, and say how it is."""
        domain = self._xen.domain(self._domid)
        taken = False
        if self._asked and domain is not None and domain.shutdown_reason is None:
            with suppress(GuestError):
                taken = not call_off(self._xen, self._store, self._domid)
            domain = self._xen.domain(self._domid)
        if domain is None or domain.dying:
            return "the domain is gone"
        if domain.suspended:
            try:
                resume(self._xen, self._store, self._device_model, self._domid)
            except (DeviceModelTimeout, StoreError) as error:
                raise StillOwed(f"guest resumed, but {error}") from error
            except DeviceModelError as error:
                return f"guest resumed, but {error}"
            return "guest resumed"
        if domain.shutdown_reason is not None:
            return "the guest has shut down"
        return "guest still running, but it took the request and may yet suspend" if taken else "guest still running"
