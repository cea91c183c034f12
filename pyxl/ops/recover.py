"""Find what a toolstack that died has left on this host, and put it right (README.md, "Recovery").

First it finds everything and touches nothing; then each finding knows how to put itself right.
"""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint import journal
from pyxl.checkpoint.journal import Entry, Journal
from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.phases import Owed, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops import settle
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import domain_of
from pyxl.xen import toolstacks
from pyxl.xen.toolstacks import Helper, Toolstacks

#: Seconds between two looks: what a living toolstack leaves between two of its steps is gone at the second.
BETWEEN_LOOKS = 2.0
#: How xl names a domain whose guest has gone to another host.
MIGRATED_AWAY = "--migratedaway"
_STATE_FILE = re.compile(r"qemu-(?:save|resume)\.(\d+)")


class Finding(NamedTuple):
    """Something left by a toolstack that died: what it is, and what puts it right.

    ``do`` does it and says what it did. ``but`` is the reason not to do it unasked, empty when there is none.
    ``domid`` is 0 and ``name`` empty where they are not known.
    """

    what: str
    remedy: str
    do: Callable[[], str]
    domid: int = 0
    name: str = ""
    but: str = ""


class Recovery:
    """Looks at this host, or with ``uuid`` only at what concerns one guest."""

    def __init__(
        self, xen: Hypervisor, store: Store, open_dm: OpenDm, uuid: str = "",
        look: Callable[[], Toolstacks] = toolstacks.look, library: Path = Path(paths.LIB_DIRECTORY),
    ) -> None:  # fmt: skip
        self._xen = xen
        self._store = store
        self._open_dm = open_dm
        self._uuid = uuid
        self._look = look
        self._library = library
        self._journals = library / Path(paths.JOURNAL_DIRECTORY).name

    def find(self) -> list[Finding]:
        """Return what is left, in the order in which it is put right."""
        first = list(self._findings())
        if not first:
            return []
        time.sleep(BETWEEN_LOOKS)
        whats = {finding.what for finding in first}
        return [finding for finding in self._findings() if finding.what in whats]

    def _findings(self) -> Iterator[Finding]:
        running = self._look()
        domains = {domain.domid: domain for domain in self._xen.domains() if domain.domid and not domain.dying}
        owing: set[str] = set()
        helped: set[int] = set()
        for entry in journal.dead(self._journals):
            if self._concerns(entry.uuid):
                yield self._dead_operation(entry)
                owing.add(entry.uuid)
                helped.add(entry.helper)
        for helper in running.helpers:
            uuid = domains[helper.domid].uuid if helper.domid in domains else ""
            if helper.orphan and helper.pid not in helped and self._concerns(uuid):
                yield self._orphan(helper)
        mine = [domain for domain in domains.values() if self._concerns(domain.uuid)]
        for domain in mine:
            busy = any(helper.domid == domain.domid and not helper.orphan for helper in running.helpers)
            if busy or domain.uuid in owing or journal.holder(domain.uuid, self._journals) is not None:
                continue
            if domain.suspended:
                yield self._suspended(domain, running)
            elif settle.never_ran(domain) and self._is_half_built(domain):
                yield self._half_built(domain, running)
        for path in sorted(self._library.glob("qemu-*")):
            match = _STATE_FILE.fullmatch(path.name)
            if match and self._is_stale(path, domains.get(int(match[1])), running):
                yield Finding(f"{path} is nobody's", "remove it", partial(_remove, path), int(match[1]))

    def _concerns(self, uuid: str) -> bool:
        return self._uuid in ("", uuid)

    def _dead_operation(self, entry: Entry) -> Finding:
        phase = Phase.__members__.get(entry.phase)

        def do() -> str:
            with Journal("recover", entry.uuid, entry.name, self._journals) as held:
                if held.left is None:
                    return "somebody else did it"
                said = settle.settle(self._xen, self._store, self._open_dm, held.left)
                held.begin()
            return "; ".join(said) or "nothing was left to do"

        domain = domain_of(self._xen, entry)
        return Finding(
            f"{entry.says()} died at step {phase.text if phase else entry.phase}",
            _remedy(phase.owes if phase else Owed.NOTHING, entry), do,
            domain.domid if domain else entry.domid, entry.name,
        )  # fmt: skip

    def _orphan(self, helper: Helper) -> Finding:
        return Finding(
            f"save-helper {helper.pid} of domain {helper.domid} has lost its toolstack", "end it",
            lambda: settle.end_helper(helper.pid, helper.domid), helper.domid, name_of(self._store, helper.domid),
        )  # fmt: skip

    def _suspended(self, domain: DomainInfo, running: Toolstacks) -> Finding:
        def resume(now: DomainInfo) -> list[str]:
            if not now.suspended:
                return ["it runs again"]
            said = settle.let_go_on(self._xen, self._store, self._open_dm, now)
            return said + settle.log_dirty_off(self._xen, self._store, self._open_dm, now)

        name = name_of(self._store, domain.domid)
        but = _may_hold(running)
        if saver := running.saver():
            but = f"xl {saver.command} (pid {saver.pid}) may be at it"
        if name.endswith(MIGRATED_AWAY):
            but = "its guest may be running on another host"
        return Finding(
            f"{_called(domain, name)} is suspended, and nobody is saving it", "resume it",
            lambda: self._on(domain, name, resume), domain.domid, name, but,
        )  # fmt: skip

    def _half_built(self, domain: DomainInfo, running: Toolstacks) -> Finding:
        name = name_of(self._store, domain.domid)
        but = _may_hold(running)
        if not name and self._store.read(paths.domain_type(domain.domid)) is None:
            but = "libxl has no trace of it: it may be another tool's"
        if builder := running.builder(name):
            but = f"xl {builder.command} (pid {builder.pid}) may be building it"
        return Finding(
            f"{_called(domain, name)} is half built, and nobody is building it", "destroy it",
            lambda: self._on(domain, name, lambda now: settle.destroy_unborn(self._xen, now)), domain.domid, name, but,
        )  # fmt: skip

    def _is_half_built(self, domain: DomainInfo) -> bool:
        """Tell whether an HVM guest never had a device model; libxl writes the type before it starts one."""
        domid = domain.domid
        if not domain.hvm or self._store.read(paths.domain_type(domid)) not in (None, "hvm"):
            return False
        dm_domid = int(self._store.read(paths.device_model_domid(domid)) or 0)
        return self._store.read(paths.device_model(domid, dm_domid) + "/state") != "running"

    def _on(self, domain: DomainInfo, name: str, deed: Callable[[DomainInfo], list[str]]) -> str:
        """Act on a domain, as it is now, while nobody else does.

        :raise Busy: another operation has begun.
        """
        with Journal("recover", domain.uuid, name, self._journals) as held:
            now = self._xen.domain(domain.domid)
            if held.left is not None or now is None or now.dying or now.uuid != domain.uuid:
                return "it is not as it was any more"
            return "; ".join(deed(now))

    def _is_stale(self, path: Path, domain: DomainInfo | None, running: Toolstacks) -> bool:
        """Tell whether nobody writes or reads a device model's state file."""
        if path.is_symlink() or not path.is_file():
            return False
        if domain is None:
            return not self._uuid
        held = journal.holder(domain.uuid, self._journals) is not None
        return self._concerns(domain.uuid) and running.idle() and not held


def put_right(finding: Finding, named: bool) -> tuple[bool, str]:
    """Do what a finding needs; return whether it is done, and what was done or why not."""
    if finding.but and not named:
        return False, f"left as it is: {finding.but}"
    try:
        return True, finding.do()
    except (PyxlError, OSError) as error:
        return False, f"not done: {error}"


def _remedy(owes: Owed, entry: Entry) -> str:
    """Say what would be done for an operation that died; few have to do with disks."""
    words = {
        Owed.GUEST: "let the guest go on", Owed.HELPER: "end its save-helper",
        Owed.DOMAIN: "destroy the domain, which never ran",
        Owed.ROOM: "give dom0 its memory back", Owed.FILE: "remove its temporary file",
        Owed.END: "bring it to its end",
    }  # fmt: skip
    if entry.copies:
        words[Owed.COPIES] = "remove the copies of its disks"
    if entry.aside and Owed.END not in owes:
        words[Owed.ASIDE] = "put its disks back"
    return ", ".join(text for owed, text in words.items() if owed in owes) or "forget it"


def _may_hold(running: Toolstacks) -> str:
    return f"{running.standing[0]} runs, and may hold it" if running.standing else ""


def _called(domain: DomainInfo, name: str) -> str:
    return f'domain {domain.domid} "{name}"' if name else f"domain {domain.domid}"


def _remove(path: Path) -> str:
    path.unlink(missing_ok=True)
    return "removed"
