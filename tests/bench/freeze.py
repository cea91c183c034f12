"""For how long a guest does not run while it is saved and goes on, by its own clock."""

import statistics
from collections import defaultdict

from pyxl.errors import LabLost
from tests.bench import fills
from tests.bench.fills import NAME, Spec
from tests.bench.options import PAIRS
from tests.xen.clock import forget, longest_gap, watch
from tests.xen.conftest import PLACE, Dom0

XL = "xl save -c"
PROGRAMS = {
    XL: f"xl save -c {NAME} {PLACE}/file",
    "pyxl save --live -c": f"pyxl save --live -c --progress none {NAME} {PLACE}/file",
    "pyxl checkpoint": f"pyxl checkpoint --progress none {NAME} {PLACE}/repository",
}
#: MiB of a guest, how much of them it rewrites once a second, and what that is called.
GUESTS = ((512, 0, "idle"), (1024, 0, "idle"), (512, 4, "4 MiB/s"), (512, 64, "as fast as it can"))
#: So often the lab may be lost with one guest.
LOSSES = 3


def bench(dom0: Dom0) -> None:
    """Print the medians of pairs, and their ratio to xl's."""
    print(f"\nfreeze by the guest's own clock, medians of {PAIRS} pairs")
    for mib, rate, load in GUESTS:
        seen: dict[str, list[float]] = defaultdict(list)
        losses = 0
        while len(seen[XL]) < PAIRS + 1 or len({len(each) for each in seen.values()}) > 1:
            try:
                if not seen[XL] or losses:
                    _start(dom0, mib, rate)
                _pair(dom0, seen)
            except (LabLost, AssertionError) as lost:
                losses += 1
                if losses > LOSSES:
                    raise
                print(f"once more: {lost}", flush=True)
                seen.clear()
        for program, gaps in seen.items():
            ratios = [gap / xl for gap, xl in zip(gaps[1:], seen[XL][1:], strict=True)]
            print(f"{mib:5} MiB, {load:18} {program:20} {statistics.median(gaps[1:]):6.2f} s"
                  f"  x {statistics.median(ratios):4.2f}", flush=True)  # fmt: skip


def _start(dom0: Dom0, mib: int, rate: int) -> None:
    dom0.start_over()
    fills.boot(dom0, Spec(mib, "idle"))
    dom0.run(f"pyxl checkpoint {NAME} {PLACE}/repository")  # the first one writes everything
    watch(dom0, NAME)
    dom0.ask(NAME, "^dirtying", f"dirty {rate}")


def _pair(dom0: Dom0, seen: dict[str, list[float]]) -> None:
    """Save the guest with each program, by turns; the first round only warms the caches."""
    turn = len(seen[XL])
    for program in list(PROGRAMS)[:: 1 if turn % 2 else -1]:
        dom0.run(f"rm -f {PLACE}/file; sync")
        forget(dom0, NAME)
        dom0.run(PROGRAMS[program])
        seen[program].append(longest_gap(dom0, NAME))
        dom0.tick(NAME)
