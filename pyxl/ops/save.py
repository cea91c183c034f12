"""The save journey, top to bottom in the order that it happens (architecture: 6, "save").

Every phase owes its undo from the moment that it is entered; nothing is destroyed before the file is whole.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pyxl.checkpoint.new_file import NewFile
from pyxl.errors import DeviceModelError, PyxlError, StoreError
from pyxl.formats import libxl_v2, xl_header
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.model.ports import DeviceModel, Hypervisor, Store
from pyxl.ops.helper_run import OK, Handler, SaveHelper
from pyxl.ops.interrupt import held
from pyxl.ops.lookup import name_of
from pyxl.ops.report import Report
from pyxl.ops.suspend import needs_help, resume, suspend
from pyxl.ops.undo import Undo

#: A stream is the guest's pages and, for each batch of 1024 gfns up to 4 GiB, its list: some 8 MiB.
STREAM_OVERHEAD = 16 << 20
#: Seconds between two requests to write dirty pages of the file back to the disk.
WRITEBACK_SECONDS = 0.25


class After(Enum):
    """What becomes of the domain once its file is whole; the value says it to the user."""

    DESTROY = "destroyed"
    RESUME = "running on"
    PAUSE = "paused"


@dataclass(frozen=True, slots=True)
class SaveOrder:
    """What to save and how.

    ``config`` replaces the domain's own config in the file; ``keep_domid`` asks a restore for the same domid.
    """

    domain: DomainInfo
    target: Path
    after: After = After.DESTROY
    config: GuestConfig | None = None
    keep_domid: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint that is whole and durable: ``size`` in bytes, times in seconds."""

    name: str
    size: int
    seconds: float
    suspended_seconds: float


def save(
    xen: Hypervisor, store: Store, open_dm: Callable[[DomainInfo, Store], DeviceModel | None],
    order: SaveOrder, report: Report,
) -> Saved:  # fmt: skip
    """Save a domain to a file.

    :raise OperationError: it failed; the guest runs, the target is as it was, or the message says what is not so.
    """
    started = time.monotonic()
    domid = order.domain.domid
    name = name_of(store, domid)
    suspended_at = started
    with Undo(f'save {domid} "{name}"') as undo:
        undo.step = "preflight"
        preflight(xen, store, order)
        device_model = open_dm(order.domain, store)

        undo.step = "open file"
        guest = _Guest(xen, store, device_model, domid)
        with held():
            file = NewFile(order.target)
            undo.owe(file.close)
            undo.owe(guest.resume_after_failure)
            helper = SaveHelper(file.fd, domid, report.log)
            undo.owe(helper.close)

        undo.step = "config"
        config = order.config or GuestConfig(xen.config_json(domid), f"domain {domid}")
        config.set_domid(domid if order.keep_domid else 0)
        file.write(xl_header.encode(config.to_json().encode()) + libxl_v2.start())

        def suspend_guest() -> int:
            nonlocal suspended_at
            undo.step = "suspend"
            report.step("suspending the guest")
            suspended_at = time.monotonic()
            guest.asked = True
            suspend(xen, store, domid)
            undo.step = "device model"
            guest.save_device_model()
            undo.step = "memory"
            report.step("writing memory")
            return OK["suspend"]

        def log_dirty(_domid: int, enable: int) -> int:
            guest.log_dirty(bool(enable))
            return OK["switch_qemu_logdirty"]

        undo.step = "memory"
        expected = order.domain.memory_kb * 1024
        pace = _Pace(file, expected, report)
        requests: dict[str, Handler] = {"suspend": suspend_guest, "switch_qemu_logdirty": log_dirty}
        helper.serve(requests, pace.tick, report.interval or WRITEBACK_SECONDS)
        helper.close()

        undo.step = "device model state"
        if device_model is not None:
            if keys := device_model.xenstore_data():
                file.write(libxl_v2.emulator_xenstore_data(device_model.emulator_id, keys))
            file.write(libxl_v2.emulator_context(device_model.emulator_id, guest.device_state))
        file.write(libxl_v2.end())
        size = file.size()

        undo.step = "commit"
        report.step("waiting for the disk")
        report.progress(size, size)
        file.sync()
        with held():
            file.commit()
            undo.settled()
            undo.step = f"{order.target} is whole, but the domain is not {order.after.value}"
            guest.settle(order.after)
        file.close()
        ended = time.monotonic()
    return Saved(name, size, ended - started, ended - suspended_at)


def preflight(xen: Hypervisor, store: Store, order: SaveOrder) -> None:
    """Find what would make the save fail, before the guest is touched.

    :raise PyxlError: the reason and its remedy.
    """
    domain = order.domain
    directory = order.target.resolve().parent
    if not directory.is_dir():
        raise PyxlError(f"there is no directory {directory}")
    if order.target.is_dir():
        raise PyxlError(f"{order.target} is a directory")
    if domain.suspended:
        raise PyxlError(
            "the domain is suspended already, by a save that is running or did not end",
            f"If no save is running, `pyxl destroy {domain.domid}` ends the domain.",
        )
    if domain.shutdown_reason is not None:
        reason = domain.shutdown_reason
        said = reason.name.lower() if isinstance(reason, ShutdownReason) else str(reason)
        raise PyxlError(f"the domain has shut down ({said}); there is nothing to save")
    if domain.paused and needs_help(xen, store, domain.domid):
        raise PyxlError(
            "the domain is paused, and its PV drivers must help with a suspend", f"`pyxl unpause {domain.domid}` first."
        )
    if order.target.exists() and not order.target.is_file():
        return  # a pipe or device has no size of its own
    room = os.statvfs(directory)
    needed = domain.memory_kb * 1024 + STREAM_OVERHEAD
    if room.f_bavail * room.f_frsize < needed:
        free = room.f_bavail * room.f_frsize >> 20
        raise PyxlError(f"{directory} has {free} MiB free, the checkpoint needs up to {needed >> 20} MiB")


class _Guest:
    """The guest between the suspend request and the end of the save: what was done to it, and how to undo it."""

    def __init__(self, xen: Hypervisor, store: Store, device_model: DeviceModel | None, domid: int) -> None:
        self._xen = xen
        self._store = store
        self._device_model = device_model
        self._domid = domid
        self.asked = False
        self.device_state = b""
        self._log_dirty_on = False

    def log_dirty(self, on: bool) -> None:
        if self._device_model is not None:
            self._log_dirty_on = True  # owed from here, and even where switching it off fails
            self._device_model.log_dirty(on)
            self._log_dirty_on = on

    def save_device_model(self) -> None:
        if self._device_model is not None:
            self.device_state = self._device_model.stop_and_save()

    def settle(self, after: After) -> None:
        """Leave the domain as the user wants it; xl pauses before it resumes, so that no instruction runs."""
        if after is After.DESTROY:
            self._xen.destroy(self._domid)
            return
        if after is After.PAUSE:
            self._xen.pause(self._domid)
        resume(self._xen, self._store, self._device_model, self._domid)

    def resume_after_failure(self) -> str:
        """Switch log-dirty off, resume the guest if it was suspended after all, and say how it is."""
        if self._log_dirty_on:
            # Where that fails too, a log that nobody reads is the least of the device model's troubles.
            with contextlib.suppress(DeviceModelError, StoreError):
                self.log_dirty(False)
        domain = self._xen.domain(self._domid)
        if domain is None or domain.dying:
            return "the domain is gone, nothing written"
        if domain.suspended and self.asked:
            try:
                resume(self._xen, self._store, self._device_model, self._domid)
            except (DeviceModelError, StoreError) as error:
                return f"guest resumed, but without its device model ({error}); nothing written"
            return "guest resumed, nothing written"
        if domain.shutdown_reason is not None:
            return "the guest has shut down, nothing written"
        return "guest still running, nothing written"


class _Pace:
    """What happens now and then while memory is written: progress, and early write-back."""

    def __init__(self, file: NewFile, expected: int, report: Report) -> None:
        self._file = file
        self._expected = expected
        self._report = report
        self._written_back = 0

    def tick(self) -> None:
        done = self._file.size()
        # Asking the kernel to write early keeps the fsync at the end short, while the guest waits suspended.
        if done > self._written_back:
            self._file.start_writeback(self._written_back, done)
            self._written_back = done
        if self._report.interval is not None:
            self._report.progress(done, max(self._expected, done))
