"""Bring back the guests of a host that has slept: from their checkpoints, else by a start.

A checkpoint is for one restore: a second would put an old memory on disks that have gone on, and destroy them.  So the
domain is built and left paused; then its checkpoint loses its name, durably; only then does it run.
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import xl_header
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops import guest_clock
from pyxl.ops.children import Call, Job, Steps, run
from pyxl.ops.guests_directory import BEGUN, CHECKPOINT, Guest, GuestsDirectory, this_boot
from pyxl.ops.lookup import name_of
from pyxl.ops.outcomes import FAILED, RESTORED, SKIPPED, STARTED, Outcome, Tally, placed
from pyxl.ops.settle import never_ran


class RestoreAll(NamedTuple):
    """How all are restored: ``order`` names guests that come first; ``all_seconds`` is the limit for all.

    ``auto`` are xl.cfg files, by the names of their guests, of those that are started where nothing brings them back.
    """

    order: tuple[str, ...] = ()
    at_once: int = 1
    guest_seconds: float | None = None
    all_seconds: float | None = None
    auto: tuple[tuple[str, Path], ...] = ()


def restore_all(
    xen: Hypervisor, store: Store, directory: GuestsDirectory, order: RestoreAll,
    told: Callable[[Outcome], None], remark: Callable[[str], None],
) -> Tally:  # fmt: skip
    """Bring back each guest in ``directory``; ``told`` gets what became of each, as it happens."""
    started = time.monotonic()
    end = None if order.all_seconds is None else started + order.all_seconds
    tally = Tally(directory.path, told)
    guests = sorted(directory.guests(), key=lambda each: placed(each.name, order.order))  # else as they were saved
    work = _Work(xen, directory, order, tally, remark)
    jobs = [Job(guest.uuid, work.bring_back(guest), partial(work.fail, guest)) for guest in guests]
    running = {name_of(store, domain.domid) for domain in xen.domains()}
    known = {guest.name for guest in guests} | running
    for name, file in order.auto:
        if name not in known:
            jobs.append(Job(name, work.start(name, file), partial(_not_started, tally, name, file)))
    memory = _Memory(xen, directory, guests)
    tally.stopped = run(jobs, order.at_once, end, memory.is_enough)
    for guest in guests:
        if guest.uuid not in tally:
            tally.add(Outcome(guest.name, guest.uuid, 0, FAILED, f"{tally.stopped}: it was not tried"))
    tally.seconds = time.monotonic() - started
    return tally


class _Work:
    """The steps for each guest."""

    def __init__(
        self, xen: Hypervisor, directory: GuestsDirectory, order: RestoreAll, tally: Tally,
        remark: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._xen = xen
        self._directory = directory
        self._order = order
        self._tally = tally
        self._remark = remark

    def bring_back(self, guest: Guest) -> Steps:
        """Bring back a guest by what there is of it."""
        domain = self._domain(guest)
        if guest.trouble:
            self._remark(guest.trouble)
        if domain is not None:
            self._here_already(guest, domain)
        elif guest.has_checkpoint:
            yield from self._restore(guest)
        elif guest.has_begun:
            yield from self._create(guest, "the host went down when it had just been restored")
        elif guest.record is None:
            self._tell(guest, FAILED, guest.trouble)
        elif guest.record.ended:
            yield from self._create(guest, "it was shut down instead of saved")
        elif guest.record.boot != this_boot():
            yield from self._create(guest, "the host went down before it was saved")
        else:
            self._directory.forget(guest)
            self._tell(guest, SKIPPED, "it was not saved, and has ended since")

    def fail(self, guest: Guest, why: str) -> None:
        """Note that what brings back a guest broke."""
        self._tell(guest, FAILED, why)

    def start(self, name: str, file: Path) -> Steps:
        """Start a guest by its config file, if it does not run."""
        started = time.monotonic()
        ended = yield Call(["create", "-q", "--", str(file)], self._order.guest_seconds)
        outcome = Outcome(name, "", 0, FAILED if ended.status else STARTED, ended.why, str(file))
        self._tally.add(outcome._replace(seconds=round(time.monotonic() - started, 3)))

    def _restore(self, guest: Guest) -> Steps:
        file = self._directory.file(guest.stem, CHECKPOINT)
        words = ["restore", "-p", "--progress", "none", "--json", "--", str(file)]
        ended = yield Call(words, self._order.guest_seconds)
        if ended.status:
            self._tell(guest, FAILED, f"{ended.why}. Its checkpoint stays: {file}", file=str(file))
            return
        done = json.loads(ended.out)
        try:
            self._let_it_run(guest, done["domid"])
        except (PyxlError, OSError) as error:
            why = f"it is built, but paused: {error}. The next restore-all lets it run"
            self._tell(guest, FAILED, why, domid=done["domid"])
            return
        why = guest_clock.words(done["away"], done["clock"])
        self._tell(guest, RESTORED, why, domid=done["domid"], size=done["size"], seconds=done["seconds"])

    def _create(self, guest: Guest, why: str) -> Steps:
        """Start a guest whose memory is lost, as after a loss of power."""
        try:
            config = guest.record.its_config() if guest.record else _config_in(self._directory.file(guest.stem, BEGUN))
        except (PyxlError, OSError) as error:
            self._tell(guest, FAILED, f"{why}, and nobody knows its config any more: {error}")
            return
        started = time.monotonic()
        paused = ["-p"] if guest.record and guest.record.paused else []
        words = ["create", "-q", *paused, "--", "/dev/stdin"]
        ended = yield Call(words, self._order.guest_seconds, config.to_json())
        domain = self._domain(guest)
        if ended.status or domain is None:
            self._tell(guest, FAILED, f"{why}; {ended.why}")
            return
        self._directory.forget(guest)
        self._tell(guest, STARTED, why, domid=domain.domid, seconds=round(time.monotonic() - started, 3))

    def _here_already(self, guest: Guest, domain: DomainInfo) -> None:
        """Let a guest run that an earlier restore-all has built before it died; of one that runs, its files are old."""
        if never_ran(domain) and (guest.has_checkpoint or guest.has_begun):
            self._let_it_run(guest, domain.domid)
            self._tell(guest, RESTORED, "it was built by a restore-all that died", domid=domain.domid)
            return
        why = "it runs already"
        if guest.has_checkpoint:
            why += f", without its checkpoint, which is now {self._directory.set_aside(guest)}"
        self._directory.forget(guest)
        self._tell(guest, SKIPPED, why, domid=domain.domid)

    def _let_it_run(self, guest: Guest, domid: int) -> None:
        """Let a guest run that is built: from here on its checkpoint is never restored again."""
        self._directory.begin(guest)
        if not (guest.record and guest.record.paused):
            self._xen.unpause(domid)
        self._directory.forget(guest)

    def _domain(self, guest: Guest) -> DomainInfo | None:
        return next((each for each in self._xen.domains() if each.uuid == guest.uuid and not each.dying), None)

    def _tell(
        self, guest: Guest, outcome: str, why: str = "", domid: int = 0, file: str = "", size: int = 0,
        seconds: float = 0,
    ) -> None:  # fmt: skip
        self._tally.add(Outcome(guest.name, guest.uuid, domid, outcome, why, file, size, size, seconds))


def _not_started(tally: Tally, name: str, file: Path, why: str) -> None:
    tally.add(Outcome(name, "", 0, FAILED, why, str(file)))


class _Memory:
    """Tells whether Xen has memory for one more guest beside those that are being built."""

    def __init__(self, xen: Hypervisor, directory: GuestsDirectory, guests: list[Guest]) -> None:
        self._xen = xen
        self._needed = {guest.uuid: self._needs(directory, guest) for guest in guests}

    def is_enough(self, guest: str, running: list[str]) -> bool:
        """Tell it of ``guest``: what Xen has free may yet be taken by all that are ``running``."""
        taken = sum(self._needed.get(each, 0) for each in running)
        return self._needed.get(guest, 0) + taken <= self._xen.free_memory_kb()

    def _needs(self, directory: GuestsDirectory, guest: Guest) -> int:
        """Return what a guest needs, in KiB; 0 where its restore will say what is wrong with it."""
        try:
            file = directory.file(guest.stem, CHECKPOINT)
            config = _config_in(file) if guest.has_checkpoint or not guest.record else guest.record.its_config()
            return self._xen.needed_memory_kb(config.to_json())
        except (PyxlError, OSError):
            return 0


def _config_in(file: Path) -> GuestConfig:
    """Return the config in a checkpoint that pyxl wrote.

    :raise PyxlError: it is none.
    """
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return GuestConfig(xl_header.parse(Source(fd).take).config.decode("utf-8", "replace"), str(file))
    finally:
        os.close(fd)
