"""Signals at many random moments of each operation, which the table's moments miss."""

import random

from pyxl.errors import LabLost
from tests.xen.faults.runner import Faults
from tests.xen.faults.table import Fault

OPERATIONS = ("save", "save -c", "restore", "create")
SIGNALS = ("Ctrl-C", "SIGTERM", "SIGHUP")
#: One in this many strikes on a restore or create falls into the start of the build, where a signal can hit most.
EARLY = 3
EARLY_MS = 60
#: From a suspend request of xl's to the first page in its file.
SUSPEND_MS = 1500


def moment(operation: str, number: int) -> str:
    """Return the moment of that strike."""
    if operation in ("restore", "create") and not number % EARLY:
        return f"BUILD + {number // EARLY * 7 % EARLY_MS} ms"
    return "random"


def table(faults: Faults, count: int) -> int:
    """Strike each operation ``count`` times, print the failures, and return their number.

    Half of the guests have no monitor, as that would repair what the operation did not.
    """
    seed, failed = faults.seed, 0
    for operation in OPERATIONS:
        bad = struck = 0
        for number in range(count):
            faults.seed = seed + number
            fault = Fault(operation, moment(operation, number), SIGNALS[number % len(SIGNALS)], monitor=2 * number < count)
            verdict = faults.run(fault, "pyxl")
            struck += verdict.counts
            if verdict.bad and verdict.counts:
                bad += 1
                print(f"{fault.name}, seed {faults.seed}: {'; '.join(verdict.bad)}\n    it said: {verdict.said}", flush=True)
        print(f"{operation:8} {struck} of {count} strikes fell into it, {bad} not stood", flush=True)
        failed += bad
    faults.seed = seed
    return failed


def deaths(faults: Faults, count: int) -> int:
    """Kill stock xl and its helper ``count`` times about when their guest suspends, have `pyxl recover` put it right.

    In half of them dom0 is busy, too.  What xl leaves of its file is not looked at.  Prints the failures, and returns
    their number.
    """
    at = random.Random(faults.seed)
    bad = struck = 0
    for number in range(count):
        fault = Fault("save", f"SUSPEND + {at.randrange(SUSPEND_MS)} ms", "all killed", monitor=not number % 4)
        busy = number % 2
        if busy:
            faults.dom0.run("(timeout 60 sh -c 'while :; do :; done' > /dev/null 2>&1 & timeout 60 yes > /dev/null 2>&1 &)")
        try:
            verdict = faults.run(fault, "xl")
        except LabLost:
            faults.dom0.start_over()
            continue
        if busy:
            faults.dom0.run("pkill -x timeout || true")
        struck += verdict.counts
        if verdict.bad and verdict.counts:
            bad += 1
            print(f"{fault.name}, busy {busy}: {'; '.join(verdict.bad)}\n    it said: {verdict.said}", flush=True)
        if not (number + 1) % 50:
            print(f"{number + 1} tried, {struck} fell into a save, {bad} not put right", flush=True)
    print(f"xl dead  {struck} of {count} strikes fell into its save, {bad} not put right", flush=True)
    return bad
