"""Signals at many random moments of each operation, which the table's moments miss."""

from tests.xen.faults.runner import Faults
from tests.xen.faults.table import Fault

OPERATIONS = ("save", "save -c", "restore", "create")
SIGNALS = ("Ctrl-C", "SIGTERM", "SIGHUP")
#: One in this many strikes on a restore or create falls into the start of the build, where a signal can hit most.
EARLY = 3
EARLY_MS = 60


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
