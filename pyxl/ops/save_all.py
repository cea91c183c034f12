"""Save all guests of a host that goes to sleep, or shut down those that cannot be saved; none is destroyed unsaved.

All is checked, and noted on the disk, before the first guest is touched: what becomes of the host meanwhile, a
restore-all knows which guests there were.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.children import Call, Ended, Job, Steps, run
from pyxl.ops.guests_directory import CHECKPOINT, GuestsDirectory, Record, stem, this_boot
from pyxl.ops.lookup import name_of
from pyxl.ops.outcomes import LEFT, SAVED, SHUT_DOWN, Outcome, Tally, placed
from pyxl.ops.preflight_save import (
    can_be_saved,
    device_model_can_save,
    keeps_topology,
    nothing_added_late,
    nothing_passed_through,
)  # fmt: skip
from pyxl.ops.preflight_target import STREAM_OVERHEAD


class SaveAll(NamedTuple):
    """How all are saved.

    ``order`` names guests that come back first, and so are saved last; ``options`` are those of each `pyxl save`.
    Limits are in seconds: ``save_seconds`` for each save, ``shutdown_seconds`` for each shutdown, ``all_seconds`` for
    all of it.  ``force`` passes over the check for room; ``compressed`` makes a lack of it a remark.
    """

    order: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    at_once: int = 1
    shutdown_instead: bool = False
    save_seconds: float | None = None
    shutdown_seconds: float = 120.0
    all_seconds: float | None = None
    force: bool = False
    compressed: bool = False


class _Found(NamedTuple):
    """A guest of this host: its config, what its checkpoint may take in bytes, and why it cannot be saved, if so."""

    domain: DomainInfo
    name: str
    record: Record
    bytes: int
    why_not: str


def save_all(
    xen: Hypervisor, store: Store, open_dm: OpenDm, directory: GuestsDirectory, order: SaveAll,
    told: Callable[[Outcome], None], remark: Callable[[str], None],
) -> Tally:  # fmt: skip
    """Save each guest of this host to ``directory``; ``told`` gets what became of each, as it happens.

    :raise PyxlError: there is no room for all; no guest was touched.
    """
    started = time.monotonic()
    end = None if order.all_seconds is None else started + order.all_seconds
    tally = Tally(directory.path, told)
    found = _found(xen, store, open_dm, order)
    found = _with_room(directory.path, found, order, remark)
    _tidy(directory, found, remark)
    for each in found:
        if each.record.config:
            directory.put(each.record)
    work = _Work(xen, directory, order, tally)
    jobs = [work.job(each, work.shut_down(each), only_waits=True) for each in found if each.why_not]
    # Those that come back first go last: the others may need them until they are away.
    jobs += [work.job(each, work.save(each)) for each in reversed(found) if not each.why_not]
    tally.stopped = run(jobs, order.at_once, end)
    for each in found:
        if each.record.uuid not in tally:
            tally.add(work.outcome(each, LEFT, f"{tally.stopped}: it was not tried"))
    tally.seconds = time.monotonic() - started
    return tally


def _found(xen: Hypervisor, store: Store, open_dm: OpenDm, order: SaveAll) -> list[_Found]:
    """Return the guests of this host in the order in which they are to come back: that of their domids."""
    guests = []
    for domain in xen.domains():
        # A stub domain is its guest's device model; one that has ended has nothing to save.
        of_another = store.read(f"{paths.domain(domain.domid)}/target") is not None
        ended = domain.shutdown_reason is not None and not domain.suspended
        if domain.domid and not domain.dying and not ended and not of_another:
            guests.append((domain, name_of(store, domain.domid)))
    guests.sort(key=lambda each: (placed(each[1], order.order), each[0].domid))
    boot = this_boot()
    return [_looked_at(xen, store, open_dm, *each, place, boot, order.force) for place, each in enumerate(guests)]


def _looked_at(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, name: str, place: int, boot: str, force: bool
) -> _Found:
    """Return a guest with the reason for which it cannot be saved, without touching it."""
    document: dict[str, Any] = {}
    why_not = ""
    try:
        can_be_saved(xen, store, domain)
        device_model_can_save(open_dm(domain, store))
        config = GuestConfig(xen.config_json(domain.domid), f"domain {domain.domid}")
        document = config.document
        nothing_passed_through(config)
        nothing_added_late(config)
        if not force:
            keeps_topology(config)
    except PyxlError as error:
        why_not = str(error)
        document = document or _kept_config(domain)
    config_of = GuestConfig(json.dumps(document), name) if document else None
    if config_of is not None:
        config_of.set_domid(0)
        document = config_of.document
    needed = (domain.memory_kb + (xen.unpopulated_kb(domain.domid) if domain.hvm else 0)) * 1024 + STREAM_OVERHEAD
    record = Record(name, domain.uuid, place, domain.paused, False, boot, document)
    return _Found(domain, name, record, needed, why_not)


def _kept_config(domain: DomainInfo) -> dict[str, Any]:
    """Return the config that libxl keeps of a guest whose device model does not answer; none of another toolstack's."""
    file = Path(paths.libxl_config(domain.domid, domain.uuid))
    try:
        return GuestConfig(file.read_text().rstrip("\0"), str(file)).document
    except (OSError, ValueError, PyxlError):
        return {}


def _with_room(directory: Path, found: list[_Found], order: SaveAll, remark: Callable[[str], None]) -> list[_Found]:
    """Return the guests, those that the disk has no room for with that reason, if they may be shut down instead.

    :raise PyxlError: there is no room for all.
    """
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    needed = sum(each.bytes for each in found if not each.why_not)
    if needed <= free or not status.f_blocks:
        return found
    short = f"{directory} has {free >> 20} MiB free, all checkpoints together need up to {needed >> 20} MiB"
    if order.compressed or order.force:
        remark(f"{short}{' where they cannot be compressed' if order.compressed else ''}")
        return found
    if not order.shutdown_instead:
        raise PyxlError(
            f"{short}; no guest was touched",
            "Make room, name another directory, or `--compress`; `--shutdown-instead` shuts down those without room.",
        )
    fitting = []
    for each in found:
        if not each.why_not and each.bytes > free:
            each = each._replace(why_not=f"{directory} has no room for it ({each.bytes >> 20} MiB)")
        elif not each.why_not:
            free -= each.bytes
        fitting.append(each)
    return fitting


def _tidy(directory: GuestsDirectory, found: list[_Found], remark: Callable[[str], None]) -> None:
    """Have nothing lie there that would bring a guest back in an old state, or one that has ended by itself."""
    here = {each.record.uuid for each in found}
    for guest in directory.guests():
        if guest.uuid in here and guest.has_checkpoint:
            aside = directory.set_aside(guest)
            remark(f'"{guest.name}" was saved before and has gone on without that checkpoint, which is now {aside}')
        has_ended = guest.record and not guest.record.ended and guest.record.boot == this_boot()
        if guest.uuid in here or (has_ended and not guest.has_checkpoint and not guest.has_begun):
            directory.forget(guest)


class _Work:
    """The steps for each guest."""

    def __init__(self, xen: Hypervisor, directory: GuestsDirectory, order: SaveAll, tally: Tally) -> None:
        self._xen = xen
        self._directory = directory
        self._order = order
        self._tally = tally

    def job(self, each: _Found, steps: Steps, *, only_waits: bool = False) -> Job:
        """Return the job that does steps for a guest."""
        return Job(each.record.uuid, steps, lambda why: self._tally.add(self.outcome(each, LEFT, why)), only_waits)

    def save(self, each: _Found) -> Steps:
        """Save a guest; shut it down where that fails, and it may be."""
        domid, file = self._domid(each), self._file(each)
        if not domid:
            self._tally.add(self.outcome(each, LEFT, "it has ended by itself"))
            return
        words = ["save", "--progress", "none", "--json", *self._order.options, "--", str(domid), str(file)]
        ended = yield Call(words, self._order.save_seconds)
        if not ended.status:
            done = json.loads(ended.out)
            outcome = self.outcome(each, SAVED, file=str(file), size=done["size"], stored=done["stored"])
            self._tally.add(outcome._replace(seconds=done["seconds"]))
        elif file.exists() or not self._order.shutdown_instead or self._domid(each) is None:
            self._tally.add(self.outcome(each, LEFT, ended.why))
        else:
            yield from self.shut_down(each._replace(why_not=ended.why))

    def shut_down(self, each: _Found) -> Steps:
        """Ask a guest that cannot be saved to shut down, and wait for that, if that is wanted; else leave it."""
        domid, why = self._domid(each), each.why_not
        if not each.record.config:
            why += "; it is no guest of libxl's, so that nobody could start it again"
            self._tally.add(self.outcome(each, LEFT, why))
            return
        if not self._order.shutdown_instead or not domid:
            self._tally.add(self.outcome(each, LEFT, why))
            return
        started = time.monotonic()
        ended = yield Call(["shutdown", "-w", "-F", "--", str(domid)], self._order.shutdown_seconds)
        if self._domid(each) is None:
            self._directory.put(each.record._replace(ended=True))
            outcome = self.outcome(each, SHUT_DOWN, why)
            self._tally.add(outcome._replace(seconds=round(time.monotonic() - started, 3)))
        else:
            self._tally.add(self.outcome(each, LEFT, f"{why}; and it did not shut down: {_said(ended)}"))

    def outcome(
        self, each: _Found, became: str, why: str = "", file: str = "", size: int = 0, stored: int = 0
    ) -> Outcome:
        """Return what became of a guest."""
        return Outcome(each.name, each.record.uuid, each.domain.domid, became, why, file, size, stored)

    def _domid(self, each: _Found) -> int | None:
        """Return the domid that a guest has now, None if it has ended; one that has rebooted has another."""
        for domain in self._xen.domains():
            off = domain.shutdown_reason in (ShutdownReason.POWEROFF, ShutdownReason.CRASH)
            if domain.uuid == each.record.uuid and not domain.dying and not off:
                return domain.domid
        return None

    def _file(self, each: _Found) -> Path:
        return self._directory.file(stem(each.name, each.record.uuid), CHECKPOINT)


def _said(ended: Ended) -> str:
    return ended.why or "it still runs"


def names(text: str | None) -> tuple[str, ...]:
    """Return the names in a list that commas separate."""
    return tuple(filter(None, (name.strip() for name in (text or "").split(","))))


def at_once() -> int:
    """Return how many to save side by side: what is no copying (Python's start, a guest that suspends) overlaps."""
    return min(4, len(os.sched_getaffinity(0)))
