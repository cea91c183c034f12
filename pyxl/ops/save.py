"""The save journey, top to bottom in the order that it happens (architecture: 6, "save").

Every phase owes its undo from the moment that it is entered; nothing is destroyed before the file is whole.
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyxl.checkpoint import journal
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.summed import SummedFile, SummedPipe, summed
from pyxl.checkpoint.undo import StillOwed, Undo
from pyxl.checkpoint.worker import Worker
from pyxl.errors import DeviceModelError, HelperError, PyxlError
from pyxl.formats.guest_config import MAXMEM_SLACK_KB, GuestConfig
from pyxl.formats.stream import libxl_v2, trailer, xl_header
from pyxl.interrupt import held, last_chance
from pyxl.model import paths, releases
from pyxl.model.compression import Compression
from pyxl.model.copied import Copied
from pyxl.model.domain import DomainInfo
from pyxl.model.engine import DIRECT, proven
from pyxl.model.live import GOES_ON, Live, Round
from pyxl.model.phases import After, Owed, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops import guest_clock
from pyxl.ops.force import unless_forced
from pyxl.ops.helper_run import OK, Handler, SaveHelper
from pyxl.ops.lookup import name_of
from pyxl.ops.preflight_save import (
    can_be_saved,
    device_model_can_save,
    keeps_topology,
    nothing_added_late,
    nothing_passed_through,
)  # fmt: skip
from pyxl.ops.preflight_target import can_be_written, has_an_end
from pyxl.ops.saved_guest import SavedGuest
from pyxl.ops.settle import hold
from pyxl.xen import toolstacks

if TYPE_CHECKING:
    from pyxl.checkpoint.compressing import Compressing
    from pyxl.checkpoint.framed import Framed
    from pyxl.repository.new_checkpoint import NewCheckpoint, Slot

    File = NewFile | NewCheckpoint
    Stream = SummedFile | SummedPipe | Compressing | Framed | NewCheckpoint

#: Seconds between two looks at the save-helper's progress, where nobody wants to see it.
LOOK_SECONDS = 1.0
NEEDS_ENGINE = "only pyxl's own engine writes to a repository, and it was not proven for this guest on this Xen"


class SaveOrder(NamedTuple):
    """What to save and how.

    ``target`` is a path, a descriptor such as standard output, or a slot of a repository; ``config`` replaces the
    domain's own config in the file; ``keep_domid`` asks a restore for the same domid; ``force`` passes over the checks
    for room and vNUMA; ``engine`` moves the memory; without a ``compression`` the file is xl's; ``live`` copies most of
    the memory before the guest is suspended; ``disks`` is a way to copy its disks (pyxl.disks.ways), which is done
    before it runs again or is ended: they are as its memory believes them to be.
    """

    domain: DomainInfo
    target: "Path | int | Slot"
    after: After = After.DESTROY
    config: GuestConfig | None = None
    keep_domid: bool = False
    force: bool = False
    engine: str = DIRECT
    compression: Compression | None = None
    live: Live | None = None
    disks: str = ""

    @property
    def verb(self) -> str:
        """What it is, in the words of the command line."""
        return "save" if isinstance(self.target, Path | int) else "checkpoint"

    @property
    def path(self) -> Path | None:
        """The absolute path, without links, of the file that is written; None for a descriptor."""
        if isinstance(self.target, int):
            return None
        return self.target.resolve() if isinstance(self.target, Path) else self.target.path

    def __str__(self) -> str:
        return "standard output" if isinstance(self.target, int) else str(self.target)


class Saved(NamedTuple):
    """A checkpoint that is whole and durable, times in seconds.

    ``size`` is in bytes, ``stored`` what the file takes where it is compressed, else 0.  The guest was away for
    ``freeze_seconds``, from the request to suspend until it ran again or was ended; ``rounds`` are a live save's.
    """

    name: str
    size: int
    stored: int
    seconds: float
    freeze_seconds: float
    rounds: list[Round]


def save(
    xen: Hypervisor, store: Store, open_dm: OpenDm, order: SaveOrder, report: Report,
    start_monitor: Callable[[int], None] | None = None,
) -> Saved:  # fmt: skip
    """Save a domain to a file.

    ``start_monitor`` is called with the domid before a guest goes on that nobody watches.

    :raise OperationError: it failed; the guest runs and the target is as it was, or the message says what is not.
    """
    started = time.monotonic()
    domid = order.domain.domid
    name = name_of(store, domid)
    with Undo(f'{order.verb} {domid} "{name}"') as undo:
        undo.keep(hold(xen, store, open_dm, order.verb, order.domain.uuid, name, report.remark))
        undo.note(domid=domid, after=order.after.name)
        domain = _still_there(xen, order.domain)
        with held():
            engine = proven(order.engine, xen.release(), domain.hvm)
            helper = SaveHelper(domid, report.log, engine)  # it starts while the checks below are made
            undo.by(Owed.HELPER, helper.close)
        undo.note(helper=helper.pid)
        memory_kb = domain.memory_kb + (xen.unpopulated_kb(domid) if domain.hvm else 0)
        if order.path is not None:
            destroys = order.after is After.DESTROY
            for remark in can_be_written(
                xen, store, order.path, memory_kb * 1024, destroys=destroys, force=order.force,
                compressed=order.compression is not None,
            ):  # fmt: skip
                report.remark(remark)
        if order.compression is not None and isinstance(order.target, Path | int):
            has_an_end(order.target)
        for remark in can_be_saved(xen, store, domain):
            report.log(remark)
        clock = guest_clock.kept_by(xen, store, domid)
        device_model = open_dm(domain, store)
        device_model_can_save(device_model)
        living = _config_of(xen, store, domain)
        nothing_passed_through(living)
        nothing_added_late(living)
        for passed_over in unless_forced(lambda: keeps_topology(living), order.force):
            report.remark(passed_over)
        to_copy = _to_copy(living, order)
        guest = SavedGuest(xen, store, device_model, domid, living)
        undo.by(Owed.GUEST, guest.resume_after_failure)

        undo.enter(Phase.OPEN_FILE, durable=order.path is not None, target=str(order.path or ""))
        if order.path is not None:
            _check_alone(order.path, domain.uuid)
        with held():
            file, stream = _opened(order, engine)
            undo.by(Owed.FILE, lambda: _discard(file, undo.phase, stream))
            helper.stream_to(*stream.fds, engine=_words(engine, stream, order))

        undo.enter(Phase.CONFIG)
        config = order.config or living
        config.set_domid(domid if order.keep_domid else 0)
        guest.may_have_kb = _fit_memory(config, memory_kb, report)
        stream.write(xl_header.encode(config.to_json().encode()) + libxl_v2.start())

        # The helper's requests enter the phases; `suspend` comes before any page where the save is not a live one.
        try:
            if order.live is not None:
                undo.by(Owed.LOG_DIRTY, guest.log_dirty_off)
            goes_on = partial(_go_on, guest, xen, store, domain, start_monitor, report)
            look = partial(_look, stream, report, memory_kb * 1024)
            helper.serve(_answers(guest, undo, report, order, goes_on), look, report.interval or LOOK_SECONDS)
        except HelperError:
            stream.check()  # the error of a pipe's target says more than that the pipe is broken
            raise
        helper.close()

        undo.enter(Phase.DEVICE_MODEL_STATE)
        stream.write(guest.device_model_records() + libxl_v2.end())
        copies = _copied(to_copy, file, undo, report) if to_copy else []
        version = "" if device_model is None else device_model.version
        host, release = os.uname().nodename, xen.release()
        identity = trailer.identity(domain.uuid, name, time.time(), host, release, version, copies, clock)
        size, stored = stream.end(identity), stream.stored()

        undo.enter(Phase.COMMIT)
        report.step("waiting for the disk")
        report.progress(size, size)
        if file is stream:
            away = guest.goes_on_at - guest.asked_at if guest.goes_on_at else 0.0
            stream.took(time.monotonic() - started, away)
        syncing = Worker(file.sync)
        syncing.start()
        syncing.result()
        last_chance()
        file.commit()
        undo.enter(Phase.SETTLE)
        if start_monitor is not None and order.after is not After.DESTROY and not guest.goes_on_at:
            _have_it_watched(xen, store, domain, start_monitor, report)
        try:
            guest.settle(order.after, report.remark)
        except PyxlError as error:
            said = f"{order} is whole, but the domain is not {order.after.value}: {error}"
            raise PyxlError(said) from error
        file.close()
        ended = time.monotonic()
    freeze = (guest.goes_on_at or ended) - guest.asked_at
    return Saved(name, size, stored, ended - started, freeze, helper.rounds)


def _to_copy(config: GuestConfig, order: SaveOrder) -> list[Copied]:
    """Return the copies of disks that are to be made.

    :raise PyxlError: a disk cannot be copied.
    """
    if not order.disks:
        return []
    from pyxl.ops.disks_in_step import disks_to_copy

    return disks_to_copy(config, order.disks, str(order))


def _copied(to_copy: list[Copied], file: "File", undo: Undo, report: Report) -> list[Copied]:
    """Copy the disks of a guest that is away, and return the copies with their marks."""
    from pyxl.disks import copies  # few saves copy any

    made = list[Copied]()

    def take_away() -> str | None:
        if file.committed:
            return None
        if left := copies.take_away(made):
            raise StillOwed(left.removeprefix("; "))
        return "copies of its disks removed"

    undo.by(Owed.COPIES, take_away)
    undo.enter(Phase.DISKS, durable=True, copies=json.dumps(to_copy))
    report.step("copying disks")
    return [copies.make(each, made) for each in to_copy]


def _words(engine: str, stream: "Stream", order: SaveOrder) -> str:
    """Return how the save-helper is to move the memory."""
    words = [engine, stream.words] if engine else []
    if order.live is not None:
        words.append(order.live.words)
        if engine and order.after is After.RESUME and not order.disks:
            words.append(GOES_ON)
    return " ".join(words)


def _fit_memory(config: GuestConfig, memory_kb: int, report: Report) -> int:
    """Have ``config`` give a restore the memory that the guest has, and return how much it then allows, in KiB.

    A guest that was told to shrink (`xl mem-set`), and has not, has more than its target: libxl would build less.  One
    that is populated on demand has all of it in its stream, as libxc reads every page.
    """
    if fitted := config.fit_memory(memory_kb):
        has, wanted, given = fitted
        report.remark(f"the guest has {has} MiB, by its config {wanted} MiB: the file gives it {given} MiB")
    return config.target_kb + MAXMEM_SLACK_KB if config.target_kb else 0


def _config_of(xen: Hypervisor, store: Store, domain: DomainInfo) -> GuestConfig:
    """Return a domain's config of now; libxl's does not know where it was moved to while it ran."""
    config = GuestConfig(xen.config_json(domain.domid), f"domain {domain.domid}")
    pool = store.read(paths.pool_name(domain.pool)) if domain.pool else None
    config.place(pool or "", xen.pins(domain.domid, config.vcpus or 1))
    return config


def _go_on(
    guest: SavedGuest, xen: Hypervisor, store: Store, domain: DomainInfo,
    start_monitor: Callable[[int], None] | None, report: Report,
) -> None:  # fmt: skip
    """Let a guest run again before its file is whole."""
    if start_monitor is not None:
        _have_it_watched(xen, store, domain, start_monitor, report)
    guest.go_on()


def _have_it_watched(
    xen: Hypervisor, store: Store, domain: DomainInfo, start_monitor: Callable[[int], None], report: Report
) -> None:
    """Start a monitor for a guest that has none any more; that there can be none is no reason not to let it go on."""
    if store.read(paths.unwatched(domain.domid)):
        return  # its user wants none (-e)
    try:
        # Where it does not stay, xl's monitor may not have ended yet.
        stays = releases.parsed(xen.release()) >= releases.XL_MONITOR_STAYS
        if stays and toolstacks.look().watcher(name_of(store, domain.domid)):
            return
        if not toolstacks.is_watched(domain.uuid):
            start_monitor(domain.domid)
            why = "" if stays else " (xl's monitor ends at a suspend)"
            report.remark(f"nobody watched the guest any more{why}; pyxl does from now on")
    except OSError as error:
        report.remark(f"nobody watches the guest: no monitor could be started ({error})")


def _check_alone(target: Path, uuid: str) -> None:
    """Refuse a target that another guest is being saved to: the later one would replace the earlier.

    Both have noted their target by now, so at least one of two sees the other.

    :raise PyxlError: which one.
    """
    for entry in journal.others_at(target, uuid):
        raise PyxlError(f"a {entry.says()} writes to {target}, too", "Name another file.")


def _still_there(xen: Hypervisor, domain: DomainInfo) -> DomainInfo:
    """Return the domain as it is now, under the lock: another operation may have just ended it.

    :raise PyxlError: it is gone.
    """
    now = xen.domain(domain.domid)
    if now is None or now.uuid != domain.uuid:
        raise PyxlError("the domain is gone")
    return now


def _answers(
    guest: SavedGuest, undo: Undo, report: Report, order: SaveOrder, goes_on: Callable[[], None]
) -> dict[str, Handler]:
    """Return the answers to the requests that a save-helper makes."""

    def switch_qemu_logdirty(_: int, on: int) -> int:
        # Where the device model is stopped before the first page is sent there is nothing to log.
        if order.live is not None:
            if on:
                undo.enter(Phase.PRECOPY, live=1)
                report.step("writing memory while the guest runs")
            try:
                guest.log_dirty(bool(on))
            except DeviceModelError as error:
                if on:
                    raise
                report.remark(f"the device model may go on to log its writes ({error})")
        return OK["switch_qemu_logdirty"]

    def suspend() -> int:
        guest.suspend(undo, report)
        undo.enter(Phase.MEMORY)
        report.step("writing memory")
        return OK["suspend"]

    def postcopy() -> int:
        goes_on()
        return OK["postcopy"]

    return {"switch_qemu_logdirty": switch_qemu_logdirty, "suspend": suspend, "postcopy": postcopy}


def _opened(order: SaveOrder, engine: str) -> "tuple[File, Stream]":
    """Open the target, and return it with what writes to it, which is to be closed first."""
    if not isinstance(order.target, Path | int):
        from pyxl.repository.new_checkpoint import NewCheckpoint

        if not engine:
            raise PyxlError(NEEDS_ENGINE, "`pyxl save --live -c` makes a file, and `pyxl import` takes it.")
        new = NewCheckpoint(order.target, order.domain.uuid, order.compression or Compression(None))
        return new, new
    file = NewFile(order.target)
    if order.compression is None:
        return file, summed(file)
    if engine:
        from pyxl.checkpoint.framed import Framed

        return file, Framed(file, order.compression)
    from pyxl.checkpoint.compressing import Compressing

    return file, Compressing(file, order.compression)


def _look(stream: "Stream", report: Report, total: int) -> int:
    """Report how many of about ``total`` bytes are written, and return the number.

    :raise OSError: the disk has failed.
    """
    stream.check()
    done = stream.size()
    if report.interval is not None:
        report.stored(stream.stored())
        report.progress(done, max(total, done))
    return done


def _discard(file: "File", phase: Phase, stream: "Stream") -> str | None:
    """Close a file that does not become a checkpoint, and say so; say nothing if it has its name already."""
    has_name = file.committed
    stream.close()
    file.close()
    if has_name:
        return None
    return "nothing written" if Owed.GUEST in phase.owes else "guest still running, nothing written"
