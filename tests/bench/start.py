"""How long the programs take to start, in dom0."""

import shlex
import statistics

from tests.bench.options import PAIRS
from tests.xen.conftest import Dom0

TIMES = 10
# The impossible domid fails in the first call into Xen, after all imports.
COMMANDS = {
    "bare": "python3 -c 'import ctypes, struct'",
    "helper": "/opt/pyxl/helper/pyxl-save-helper --save-domain 9 -1 99999 0 136 0 < /dev/null",
    "pyxl": "pyxl --version",
}
LOOP = "for i in $(seq {times}); do {command} > /dev/null 2>&1; done; true"


def bench(dom0: Dom0) -> None:
    """Measure the start of each program, against a bare Python."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(PAIRS):
        for name, command in COMMANDS.items():
            loop = shlex.quote(LOOP.format(times=TIMES, command=command))
            clock = f"TIMEFORMAT=%R; time bash -c {loop}"
            taken[name].append(float(dom0.run(clock).stderr) / TIMES)
    print(f"\nstart-up, medians of {PAIRS} times {TIMES}: " + ", ".join(
        f"{name} {statistics.median(times):.2f} s" for name, times in taken.items()))  # fmt: skip
    for name in ("helper", "pyxl"):
        ratio = statistics.median(mine / other for mine, other in zip(taken[name], taken["bare"], strict=True))
        print(f"{name:11}  ratio {ratio:.2f} to a bare Python with ctypes and struct")
