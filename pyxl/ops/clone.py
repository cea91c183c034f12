"""Several guests from one checkpoint, each with an identity and disks of its own; back to it; and away again.

All that can be refused is refused before anything is made; what is made for a clone is in its record before it is.
"""

import calendar
import copy
import json
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.source import Source
from pyxl.disks.disk import Disk
from pyxl.disks.ways import AUTO, fitting, way
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.identity import take_new_identity
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.live import Live
from pyxl.model.phases import After
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops import clones
from pyxl.ops.checkpoint import Checkpoint, open_checkpoint
from pyxl.ops.children import Call, Job, Steps, run
from pyxl.ops.clones import Clone, Copied
from pyxl.ops.destroy import destroy
from pyxl.ops.force import unless_forced
from pyxl.ops.identity import Chooser
from pyxl.ops.lookup import by_name
from pyxl.ops.outcomes import FAILED, STARTED, Outcome, Tally
from pyxl.ops.preflight_disks import check_not_in_use
from pyxl.ops.restore import Restored, restore
from pyxl.ops.room import obtainable_kb
from pyxl.ops.save import SaveOrder, save

#: The way that a checkpoint was made, by its record: it is a file that is only removed.
_FILE = "copy"
_WHEN = "%Y-%m-%dT%H:%M:%SZ"


class Order(NamedTuple):
    """How clones are made: ``way`` copies their disks (pyxl.disks.ways), ``at_once`` are built side by side."""

    names: tuple[str, ...]
    way: str = AUTO
    at_once: int = 1
    paused: bool = False
    force: bool = False


def plan(
    xen: Hypervisor, store: Store, config: GuestConfig, source: str, saved: float | None, order: Order,
    chooser: Chooser, report: Report, state: Clone | None = None,
) -> list[Clone]:  # fmt: skip
    """Return the clones of a checkpoint with ``config`` that ``order`` asks for, having made nothing.

    ``source`` names the checkpoint; ``saved`` is when it was, in seconds since 1970, if that is known; ``state`` is the
    record of a running guest's, whose copies of the disks are copied.

    :raise PyxlError: a name is taken, a disk has gone on or cannot be copied, or there is not enough memory.
    """
    _check(xen, store, config, order)
    writable = [(vdev, Disk(Path(path), config.disk_format(vdev))) for vdev, path, write in config.disks() if write]
    if state is not None:
        writable = [(each.vdev, each.disk) for each in state.disks if each.vdev]
    for vdev, disk in writable:
        if not disk.path.exists():
            raise PyxlError(f"disk {vdev} is missing: {disk.path}")
        if state is None:
            for passed_over in unless_forced(partial(_check_stood_still, vdev, disk, saved), order.force):
                report.remark(passed_over)
        check_not_in_use(xen, store, [(vdev, str(disk.path), False)])
    ways = {vdev: fitting(disk, base_stays=True) if order.way == AUTO else way(order.way) for vdev, disk in writable}
    made = time.strftime(_WHEN, time.gmtime())
    found = []
    for name in order.names:
        its = GuestConfig(json.dumps(copy.deepcopy(config.document)), config.name)
        take_new_identity(its, name, chooser)
        disks = []
        for vdev, disk in writable:
            target = ways[vdev].target(disk, config.name, name)
            if os.path.lexists(target.path):
                raise PyxlError(f"disk {vdev} of {name} would be {target.path}, which is there already")
            its.use_disk(vdev, str(target.path), target.format)
            disks.append(Copied(vdev, ways[vdev].name, str(disk.path), disk.format, str(target.path), target.format))
        called = state.name if state else ""
        found.append(Clone(name, its.uuid, source, config.name, made, its.document, tuple(disks), called))
    _check_nothing_shared(found)
    return found


def make(
    xen: Hypervisor, store: Store, planned: list[Clone], order: Order, told: Callable[[Outcome], None]
) -> Tally:
    """Make clones as planned, side by side; one that fails takes what was made for it away and leaves the others."""
    started = time.monotonic()
    tally = Tally(Path(paths.CLONES), told)

    def steps(clone: Clone) -> Steps:
        with clones.begun(clone):
            begun, made = time.monotonic(), list[Copied]()
            try:
                for each in clone.disks:
                    _make(each, made)
                options = ["-p"] if order.paused else []
                words = ["restore", *options, "--progress", "none", "--json", "--", "/dev/stdin", clone.source]
                ended = yield Call(words, None, json.dumps(clone.config))
                if ended.status:
                    raise PyxlError(ended.why)
            except BaseException as error:
                left = _take_away(made)
                clones.forget(clone)
                if isinstance(error, Exception):
                    tally.add(Outcome(clone.name, clone.uuid, 0, FAILED, f"{error}{left}", clone.source))
                    return
                raise
            domid = json.loads(ended.out)["domid"]
            note_origin(xen, store, domid, clone)
            seconds = round(time.monotonic() - begun, 3)
            tally.add(Outcome(clone.name, clone.uuid, domid, STARTED, seconds=seconds))

    def failed(clone: Clone, why: str) -> None:
        tally.add(Outcome(clone.name, clone.uuid, 0, FAILED, why, clone.source))

    jobs = [Job(clone.uuid, steps(clone), partial(failed, clone)) for clone in planned]
    tally.stopped = run(jobs, order.at_once)
    for clone in planned:
        if clone.uuid not in tally:
            failed(clone, f"{tally.stopped}: it was not tried")
    tally.seconds = time.monotonic() - started
    return tally


def note_origin(xen: Hypervisor, store: Store, domid: int, clone: Clone) -> None:
    """Note with a domain what it was made of: in xenstore, and in what libxl keeps for it."""
    store.write(paths.clone_of(domid), clone.source)
    xen.keep_origin(domid, json.dumps({"source": clone.source, "origin": clone.origin, "made": clone.made}).encode())


def end(xen: Hypervisor, store: Store, open_dm: OpenDm, clone: Clone, report: Report) -> None:
    """Destroy the domain of a clone that is held, if it has one."""
    if (domain := domain_of(xen, clone)) is not None:
        destroy(xen, store, open_dm, domain, report)


def discard(xen: Hypervisor, store: Store, open_dm: OpenDm, name: str, report: Report) -> Clone:
    """End a clone, and remove what was made for it, and nothing else.

    :raise PyxlError: there is no such clone, or something of it cannot be removed; its record stays then.
    """
    if not clones.record_of(name).exists() and clones.record_of(clones.state_name(name)).exists():
        name = clones.state_name(name)  # its clones were never made
    with clones.held(name) as clone:
        if users := [other.name for other in clones.clones() if other.state == clone.name]:
            raise PyxlError(f"{', '.join(users)} were made of {name}", "Discard those: it goes with the last.")
        if clone.uuid:
            end(xen, store, open_dm, clone, report)
        if left := _take_away(clone.disks):
            raise PyxlError(f'clone "{name}": its domain has ended{left}', "The same command tries again.")
        clones.forget(clone)
    if clone.state and not any(other.state == clone.state for other in clones.clones()):
        discard(xen, store, open_dm, clone.state, report)
    return clone


def keep_state(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, name: str, order: Order, report: Report,
    start_monitor: Callable[[int], None] | None = None,
) -> Clone:  # fmt: skip
    """Have a running guest's memory and disks kept for clones called ``name``, and let it run on; return the record.

    :raise PyxlError: it failed; the guest runs on, and nothing is left.
    """
    config = GuestConfig(xen.config_json(domain.domid), f"domain {domain.domid}")
    _check(xen, store, config, order)
    called = clones.state_name(name)
    file = Path(paths.CLONES) / f"{called}.checkpoint"
    kept = [Copied("", _FILE, "", "", str(file), "")]
    for vdev, path, write in config.disks():
        if write:
            disk = Disk(Path(path), config.disk_format(vdev))
            its = fitting(disk, base_stays=False) if order.way == AUTO else way(order.way)
            if its.shares_base:
                raise UsageError(f"{its.name} needs a disk that nobody writes to, and {config.name} does")
            target = its.target(disk, config.name, called)
            kept.append(Copied(vdev, its.name, path, disk.format, str(target.path), target.format))
    when = time.strftime(_WHEN, time.gmtime())
    state = Clone(called, "", str(file), config.name, when, config.document, tuple(kept))

    made = kept[:1]

    def copy_disks() -> None:
        for each in kept[1:]:
            _make(each, made)

    with clones.begun(state):
        try:
            after = After.PAUSE if domain.paused else After.RESUME
            wanted = SaveOrder(domain, file, after, force=order.force, live=Live(), while_away=copy_disks)
            save(xen, store, open_dm, wanted, report, start_monitor)
        except BaseException:
            _take_away(made)
            clones.forget(state)
            raise
    return state


def revert(
    xen: Hypervisor, store: Store, open_dm: OpenDm, clone: Clone, report: Report, paused: bool,
    start_monitor: Callable[[int], None] | None = None,
) -> Restored:  # fmt: skip
    """Put a clone that is held back to its origin: end its domain, copy its disks anew, restore it.

    :raise PyxlError: it failed; where its domain has ended already, another revert goes on.
    """
    started = time.monotonic()
    with open_checkpoint(Path(clone.source)) as checkpoint:
        for each in clone.disks:
            if not each.of.path.exists():
                raise PyxlError(f'clone "{clone.name}": what its disk {each.vdev} was made of is gone: {each.base}')
        end(xen, store, open_dm, clone, report)
        config = _renewed(clone, Chooser(store))
        done = restore(xen, store, open_dm, checkpoint, config, report, paused=paused, start_monitor=start_monitor)
    note_origin(xen, store, done.domid, clone)
    return done._replace(seconds=time.monotonic() - started)


def _renewed(clone: Clone, chooser: Chooser) -> GuestConfig:
    """Have the disks of a clone, which does not run, be as at its origin; return the config for its next restore."""
    for each in clone.disks:
        its = way(each.way)
        its.remove(each.disk)
        its.make(each.of, each.disk)
    config = clone.its_config()
    config.renew_generation_id(chooser.generation_id())
    return config


def domain_of(xen: Hypervisor, clone: Clone) -> DomainInfo | None:
    """Return the domain of a clone, None where it has none."""
    return next((each for each in xen.domains() if each.uuid == clone.uuid and not each.dying), None)


def saved_at(checkpoint: Checkpoint) -> float | None:
    """Return when a checkpoint was made, in seconds since 1970; of xl's file, when it was last written to."""
    facts = getattr(getattr(checkpoint.source, "manifest", None), "facts", None)
    trailer = checkpoint.stream.trailer
    when = facts.saved if facts else trailer.identity.saved if trailer else ""
    if when:
        try:
            return float(calendar.timegm(time.strptime(when, _WHEN)))
        except ValueError:
            return None
    source: Source | None = checkpoint.source
    return os.fstat(source.fd).st_mtime if source is not None and source.fd >= 0 else None


def _check(xen: Hypervisor, store: Store, config: GuestConfig, order: Order) -> None:
    """Refuse what needs no look at disks: names, memory, a disk of another host."""
    for name in order.names:
        _check_name(xen, store, name)
    if elsewhere := config.disks_elsewhere():
        raise PyxlError(f"disk {elsewhere[0]} is not this host's, and cannot be copied: all clones would write to it")
    count, needed, free = len(order.names), xen.needed_memory_kb(config.to_json()), obtainable_kb(xen)
    if needed * count > free:
        what = f"{count} guests need {-(-needed >> 10)} MiB of memory each, Xen has {free >> 10} MiB free"
        raise PyxlError(f"{what}: room for {free // needed}", "End or shrink other guests, or make fewer.")


def _check_name(xen: Hypervisor, store: Store, name: str) -> None:
    reserved = name == clones.state_name(name.rpartition(".")[0])
    if not name or reserved or set("/@") & set(name) or name.startswith((".", "-")) or not name.isprintable():
        raise UsageError(f"{name!r} is no name for a domain")
    if clones.record_of(name).exists():
        raise PyxlError(f'there is a clone "{name}" already', f"`pyxl clone --discard {name}` ends it.")
    if (domain := by_name(xen, store, name)) is not None:
        raise PyxlError(f'a domain named "{name}" exists already (domid {domain.domid})')


def _check_stood_still(vdev: str, disk: Disk, saved: float | None) -> None:
    """Refuse a disk that was written to after the checkpoint was made; a device does not tell."""
    if saved is None or not disk.path.is_file():
        return
    changed = disk.path.stat().st_mtime
    if changed > saved + 1:
        at, of = (time.strftime(_WHEN, time.gmtime(when)) for when in (changed, saved))
        raise PyxlError(
            f"disk {vdev} has gone on without the checkpoint: {disk.path} was written to at {at}, it is of {of}",
            "Its file system would be destroyed. `--force` passes over this.",
        )


def _check_nothing_shared(planned: list[Clone]) -> None:
    """Refuse clones of which two would write to one file."""
    owner: dict[str, str] = {}
    for clone in planned:
        for each in clone.disks:
            if owner.setdefault(os.path.realpath(each.path), clone.name) != clone.name or each.path == each.base:
                raise PyxlError(f"{each.path} would be a disk of two guests")


def _make(copied: Copied, made: list[Copied]) -> None:
    """Make a copy of a disk, and have it among those that were ``made`` before it is."""
    if os.path.lexists(copied.path):
        raise PyxlError(f"{copied.path} is there already")
    made.append(copied)
    way(copied.way).make(copied.of, copied.disk)


def _take_away(made: Iterable[Copied]) -> str:
    """Remove what was made for a clone that does not run; return what could not be, in words that follow others."""
    left = []
    for each in made:
        try:
            way(each.way).remove(each.disk)
        except (PyxlError, OSError) as error:
            left.append(f"{each.path} is left: {error}")
    return "".join(f"; {words}" for words in left)
