"""Start an operation, do one fault to it at its moment, and report the result without judging it."""

import os
import subprocess
from typing import Any

from tests.xen.agent.consoles import Consoles
from tests.xen.agent.host import Store, Xen, monitors, said_by
from tests.xen.faults.dom0.injectors import FAULTS
from tests.xen.faults.dom0.looking import clean_up, hash_of_guest, left, look, outcome, remove_guest
from tests.xen.faults.dom0.places import GOOD, GUEST, HOME
from tests.xen.faults.dom0.trial import Trial


def have_guest(xen: Xen, store: Store, consoles: Consoles, tool: str, monitor: bool, wanted: str) -> None:
    """Make sure that the guest runs under ``tool``, with or without a monitor, and that nothing else is left.

    :raise RuntimeError: the guest does not come back.
    """
    whose = [tool] if monitor else []
    if xen.state(store.domid(GUEST)) == "running" and monitors() == whose and not left(xen, store, HOME / "place"):
        return
    clean_up(xen, store)
    status, said = said_by(tool, "restore", *([] if monitor else ["-e"]), GOOD)
    if status or hash_of_guest(consoles) != wanted:
        raise RuntimeError(f"the guest does not come back: {said}")


def try_fault(xen: Xen, store: Store, consoles: Consoles, spec: dict[str, Any]) -> dict[str, Any]:
    """Do one fault and return the result; if ``spec`` is empty, only clean up."""
    for mounted in (HOME / "place", HOME / "failing" / "place"):
        while os.path.ismount(mounted):
            subprocess.run(["umount", mounted], check=True)
    if not spec:
        clean_up(xen, store)
        return {}
    if spec["operation"].startswith(("save", "checkpoint")):
        have_guest(xen, store, consoles, spec["tool"], spec["monitor"], spec["hash"])
    else:
        if left(xen, store, HOME / "place"):
            clean_up(xen, store)
        remove_guest(store)
    trial = Trial(xen, store, spec)
    result: dict[str, Any] = trial.run(FAULTS[spec["what"]], spec["limit"])
    if spec["recover"]:
        result["recovered"] = said_by("pyxl", "recover")[1]
    result |= look(trial, spec["settle"], spec["may_be"])
    result["hashes"] = outcome(trial, consoles, result, spec["deaf"])
    if result["left"] or any(said != spec["hash"] for said in result["hashes"].values()):
        clean_up(xen, store)
    return result
