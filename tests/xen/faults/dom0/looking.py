"""See what an ended operation has left behind, and the state of its guest and file."""

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Any

from tests.xen.agent.consoles import Consoles, Nothing
from tests.xen.agent.host import Store, Xen, monitors, processes, said_by
from tests.xen.faults.dom0 import repositories
from tests.xen.faults.dom0.places import GOOD, GUEST, JOURNALS, LIBRARY
from tests.xen.faults.dom0.trial import OF_FILE, OLD, Trial

#: Seconds for the guest's tick: it may have just been resumed.
TICK_SECONDS = 60


def left(xen: Xen, store: Store, place: Path) -> list[str]:
    """Return what an ended operation should not have left behind."""
    found = []
    living = xen.domids()
    for path in (*LIBRARY.iterdir(), *JOURNALS.glob("*")):
        if path != JOURNALS and not re.match(r"dump$|xenpaging$|xenstore$|userdata-d\.", path.name):
            found.append(str(path))
    with contextlib.suppress(OSError):
        found += [str(path) for path in place.iterdir() if path.name != "checkpoint"]
        if (place / "checkpoint").is_dir():
            found += repositories.left(place / "checkpoint")
    for pid, line in sorted(processes().items()):
        qemu = re.search(r"-xen-domid (\d+) ", line)
        if re.search(r"--(save|restore)-domain|(pyxl|xl) (save|checkpoint) ", line) or (qemu and int(qemu[1]) not in living):
            found.append(f"process {pid}: {line[:60]}")
    watchers, guests = len(monitors()), len(living) - 1
    if watchers > guests:
        found.append(f"{watchers} monitors for {guests} guests")
    for root in ("/local/domain", "/local/domain/0/device-model", "/libxl"):
        found += [f"xenstore {root}/{name}" for name in store.children(root) if int(name) not in living]
    for domid in sorted(living - {0}):
        if not store.read(f"/local/domain/{domid}/name"):
            found.append(f"domain {domid} without a name")
        if store.read(f"/local/domain/{domid}/control/shutdown"):
            found.append(f"a request to domain {domid} to suspend")
    return found


def look(trial: Trial, settle: float, may_be: list[str]) -> dict[str, Any]:
    """Wait up to ``settle`` seconds until nothing is left and the guest's state is in ``may_be``; return both."""
    started = time.monotonic()
    while True:
        state = trial.xen.state(trial.store.domid(trial.name))
        remains = left(trial.xen, trial.store, trial.place)
        if (not remains and state in may_be) or time.monotonic() > started + settle:
            break
        time.sleep(0.2)
    file = "none"
    if trial.verb == "save" and trial.target.is_file():
        with trial.target.open("rb") as stream:
            file = "old" if stream.read(100) == OLD else "new"
    elif trial.verb == "checkpoint":
        file = {(1,): "old", (1, 2): "new"}.get(tuple(repositories.numbers(trial.target)), "none")
        if said := repositories.damaged(trial.target):
            remains.append(f"a checkpoint that is not whole: {said}")
    return {"guest": state, "left": remains, "file": file, "settled": time.monotonic() - started}


def outcome(trial: Trial, consoles: Consoles, seen: dict[str, Any], deaf: bool) -> dict[str, str]:
    """Return the memory hashes of the running guest and of one restored from the file.

    A ``deaf`` guest has no console, and is destroyed; any other is left running.
    """
    if trial.verb == "create":
        remove_guest(trial.store, trial.name)
        return {}
    found = {}
    if seen["guest"] == "paused":
        trial.xen.unpause(trial.store.domid(trial.name))
    if deaf:
        remove_guest(trial.store)
    elif seen["guest"] in ("running", "paused"):
        found["running"] = hash_of_guest(consoles)
    if (seen["file"] == "new" and trial.what != "all killed") or (trial.verb == "restore" and seen["guest"] == "gone"):
        remove_guest(trial.store)
        file = GOOD if trial.what in OF_FILE else f"{trial.target}@latest" if trial.target.is_dir() else trial.target
        status, said = said_by(trial.tool, "restore", file)
        found["restored"] = said if status else hash_of_guest(consoles)
    return found


def hash_of_guest(consoles: Consoles) -> str:
    """Return the hash of the guest's memory from its tick, or why there is no tick."""
    try:
        return consoles.tick(GUEST, TICK_SECONDS).split()[3]
    except Nothing as nothing:
        return f"no tick: {nothing}"


def remove_guest(store: Store, name: str = GUEST) -> None:
    """Destroy all domains with this name."""
    while domid := store.domid(name):
        said_by("xl", "destroy", str(domid))


def clean_up(xen: Xen, store: Store) -> None:
    """Remove all that an operation left, so that the next one finds nothing."""
    for pid, line in processes().items():
        if re.search(r"--(save|restore)-domain|(pyxl|xl) (save|checkpoint|restore|create) |/pyxl-monitor ", line):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
    for domid in xen.domids() - {0}:
        said_by("xl", "destroy", str(domid))
    living = xen.domids()
    for pid, line in processes().items():
        qemu = re.search(r"-xen-domid (\d+) ", line)
        if qemu and int(qemu[1]) not in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
    for path in (*LIBRARY.glob("qemu-*"), *LIBRARY.glob("userdata-l*"), *JOURNALS.glob("*")):
        path.unlink()
    for root in ("/local/domain", "/local/domain/0/device-model", "/libxl"):
        for name in store.children(root):
            if int(name) not in living:
                said_by("xenstore-rm", f"{root}/{name}")
