"""Several guests from one checkpoint, each with an identity and disks of its own; back to it; and away again.

All that can be refused is refused before anything is made; what is made for a clone is in its record before it is.
"""

import copy
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyxl.disks import copies
from pyxl.disks.disk import Disk
from pyxl.disks.ways import AUTO, way
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.identity import take_new_identity
from pyxl.model import paths
from pyxl.model.copied import Copied
from pyxl.model.domain import DomainInfo
from pyxl.model.live import Live
from pyxl.model.phases import After
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops import clones, guest_clock
from pyxl.ops.checkpoint import open_checkpoint
from pyxl.ops.children import Call, Job, Steps, run
from pyxl.ops.clones import Clone
from pyxl.ops.destroy import destroy
from pyxl.ops.disks_in_step import check_stood_still, remove_checkpoint
from pyxl.ops.force import unless_forced
from pyxl.ops.identity import Chooser
from pyxl.ops.lookup import by_name
from pyxl.ops.outcomes import FAILED, STARTED, Outcome, Tally
from pyxl.ops.preflight_disks import check_not_in_use
from pyxl.ops.restore import Restored, restore
from pyxl.ops.room import obtainable_kb
from pyxl.ops.save import SaveOrder, save

_WHEN = "%Y-%m-%dT%H:%M:%SZ"


class Order(NamedTuple):
    """How clones are made: ``way`` copies their disks (pyxl.disks.ways), ``at_once`` are built side by side."""

    names: tuple[str, ...]
    way: str = AUTO
    at_once: int = 1
    paused: bool = False
    force: bool = False


class Origin(NamedTuple):
    """What clones are made of: ``source`` names a checkpoint with ``config``, which was saved then, if that is known.

    ``copies`` of the guest's disks belong to it; ``state`` is the name of its record, if it is a running guest's.
    """

    source: str
    config: GuestConfig
    saved: float | None = None
    copies: tuple[Copied, ...] = ()
    state: str = ""


def plan(
    xen: Hypervisor, store: Store, origin: Origin, order: Order, chooser: Chooser, report: Report
) -> list[Clone]:
    """Return the clones that ``order`` asks for, having made nothing.

    :raise PyxlError: a name is taken, a disk has gone on or cannot be copied, or there is not enough memory.
    """
    config = origin.config
    _check(xen, store, config, order)
    bases = _bases(origin, order, report)
    for vdev, disk in bases:
        check_not_in_use(xen, store, [(vdev, str(disk.path), False)])
    made = time.strftime(_WHEN, time.gmtime())
    found = []
    for name in order.names:
        its = GuestConfig(json.dumps(copy.deepcopy(config.document)), config.name)
        take_new_identity(its, name, chooser)
        disks = tuple(copies.planned(*base, order.way, config.name, name, base_stays=True) for base in bases)
        for each in disks:
            its.use_disk(each.vdev, each.path, each.format)
        found.append(Clone(name, its.uuid, origin.source, config.name, made, its.document, disks, origin.state))
    _check_nothing_shared(found)
    return found


def _bases(origin: Origin, order: Order, report: Report) -> list[tuple[str, Disk]]:
    """Return what the disks of clones are copied from: what belongs to the checkpoint, else disks that stood still.

    :raise PyxlError: it has been written to.
    """
    if origin.copies:
        for each in origin.copies:
            if why := copies.changed(each):
                raise PyxlError(f"disk {each.vdev} of the checkpoint is not what was saved: {why}")
        return [(each.vdev, copies.disk_of(each)) for each in origin.copies]
    config = origin.config
    found = [(vdev, Disk(Path(path), config.disk_format(vdev))) for vdev, path, write in config.disks() if write]
    for vdev, disk in found:
        for passed_over in unless_forced(partial(check_stood_still, vdev, disk.path, origin.saved), order.force):
            report.remark(passed_over)
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
                    copies.make(each, made)
                options = ["-p"] if order.paused else []
                words = ["restore", *options, "--progress", "none", "--json", "--", "/dev/stdin", clone.source]
                ended = yield Call(words, None, json.dumps(clone.config))
                if ended.status:
                    raise PyxlError(ended.why)
            except BaseException as error:
                left = copies.take_away(made)
                clones.forget(clone)
                if isinstance(error, Exception):
                    tally.add(Outcome(clone.name, clone.uuid, 0, FAILED, f"{error}{left}", clone.source))
                    return
                raise
            done = json.loads(ended.out)
            note_origin(xen, store, done["domid"], clone)
            seconds, why = round(time.monotonic() - begun, 3), guest_clock.words(done["away"], done["clock"])
            tally.add(Outcome(clone.name, clone.uuid, done["domid"], STARTED, why, seconds=seconds))

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
        left = copies.take_away(clone.disks) if clone.uuid else remove_checkpoint(Path(clone.source))
        if left:
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
    when = time.strftime(_WHEN, time.gmtime())
    state = Clone(called, "", str(file), config.name, when, config.document)
    with clones.begun(state):
        try:
            after = After.PAUSE if domain.paused else After.RESUME
            wanted = SaveOrder(domain, file, after, force=order.force, live=Live(), disks=order.way)
            save(xen, store, open_dm, wanted, report, start_monitor)
        except BaseException:
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
            if not Path(each.base).exists():
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
        its.remove(copies.disk_of(each))
        its.make(copies.base_of(each), copies.disk_of(each))
    config = clone.its_config()
    config.renew_generation_id(chooser.generation_id())
    return config


def domain_of(xen: Hypervisor, clone: Clone) -> DomainInfo | None:
    """Return the domain of a clone, None where it has none."""
    return next((each for each in xen.domains() if each.uuid == clone.uuid and not each.dying), None)


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


def _check_nothing_shared(planned: list[Clone]) -> None:
    """Refuse clones of which two would write to one file."""
    owner: dict[str, str] = {}
    for clone in planned:
        for each in clone.disks:
            if owner.setdefault(os.path.realpath(each.path), clone.name) != clone.name or each.path == each.base:
                raise PyxlError(f"{each.path} would be a disk of two guests")
