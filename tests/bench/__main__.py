"""`make bench`: pyxl against stock xl, and against pyxl without checksums, on the lab, in pairs, in one run.

The lab is a nested emulation: only the ratios count.
"""

import os
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps
from tests.bench import convert, native, read
from tests.bench.native import RUNS
from tests.xen.conftest import PLACE, Dom0

GUEST = "big"
FILE = f"{PLACE}/bench"
#: pyxl without the sums, to see what they cost.
WITHOUT_SUMS = "PYTHONPATH=/opt/pyxl python3 -c " + shlex.quote(
    "from pyxl.checkpoint.sums import BlockReader; from pyxl.formats.stream import trailer; BlockReader.sum = lambda *_: 0; "
    "trailer.compare = lambda *_: None; from pyxl.__main__ import main; main()"
)
TOOLS = {"xl": "xl", "pyxl": "pyxl", "no sums": WITHOUT_SUMS}
STEPS = ("save + sync", "restore")
# Wall clock of the command, and CPU seconds of all of dom0, as the command may not reap libxl's helpers.
MEASURE = """
cpu() {{ awk '/^cpu / {{ print $2 + $3 + $4 + $7 + $8 }}' /proc/stat; }}
c0=$(cpu); t0=$(date +%s.%N)
{{ {command}; }} >/dev/null 2>/tmp/bench.err || {{ cat /tmp/bench.err >&2; exit 1; }}
t1=$(date +%s.%N); c1=$(cpu)
echo "$t1 - $t0" | awk '{{ print $1 - $3 }}'; echo "$c1 $c0" | awk '{{ print ($1 - $2) / 100 }}'
"""


def measured(dom0: Dom0, command: str) -> tuple[float, float]:
    """Run a command in dom0 and return its wall and CPU seconds."""
    wall, cpu = dom0.run(MEASURE.format(command=command)).stdout.split()
    return float(wall), float(cpu)


def main() -> None:
    """Run all benchmarks; with the argument "native" only those without Xen."""
    lab = Lab(os.environ.get("PYXL_TEST_LAB", "test"), steps=Steps())
    with lab.session("make bench"), tempfile.TemporaryDirectory(dir=os.environ.get("PYXL_BENCH_PLACE")) as directory:
        lab.up()
        dom0 = Dom0(lab)
        dom0.start_over()
        if sys.argv[1:] != ["native"]:
            saves_and_restores(dom0)
            start_up(dom0)
        place = Path(directory)
        native.fetch(dom0, place)
        lab.down()
        print(f"\nnatively, medians of {native.RUNS} pairs, {native.MIB} MiB, the file in memory")
        read.bench(place)
        convert.bench(place)


def saves_and_restores(dom0: Dom0) -> None:
    """Save and restore the 512 MiB guest with each tool by turns; print every run and the median ratios."""
    dom0.wake(GUEST)
    # Once unmeasured, to compile modules and warm the caches.
    dom0.run(f"pyxl save {GUEST} {FILE} && pyxl restore {FILE} && xl save {GUEST} {FILE} && xl restore {FILE}")
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in range(RUNS):
        names = list(TOOLS)
        for name in names[run % 3 :] + names[: run % 3]:
            dom0.run(f"rm -f {FILE}; sync")
            for step in STEPS:
                order = f"save {GUEST} {FILE} && sync" if step == STEPS[0] else f"restore {FILE}"
                taken = measured(dom0, f"{TOOLS[name]} {order}")
                times.setdefault((step, name), []).append(taken)
                print(f"run {run + 1}  {name:7}  {step:11}  {taken[0]:6.2f} s wall  {taken[1]:6.2f} s cpu", flush=True)
            dom0.tick(GUEST)
    print(f"\nmedians of {RUNS} pairs, {GUEST} (512 MiB), Xen {dom0.lab.suite.xen}")
    for other in ("xl", "no sums"):
        for step in STEPS:
            for number, what in enumerate(("wall", "cpu")):
                ours, theirs = ([taken[number] for taken in times[step, name]] for name in ("pyxl", other))
                ratio = statistics.median(mine / its for mine, its in zip(ours, theirs, strict=True))
                print(f"{step:11}  {what:4}  pyxl {statistics.median(ours):6.2f} s   {other} "
                      f"{statistics.median(theirs):6.2f} s   ratio {ratio:.2f}")  # fmt: skip


def start_up(dom0: Dom0) -> None:
    """Measure the start of each program ten times, against a bare Python."""
    # The impossible domid fails in the first call into Xen, after all imports.
    helper = "/opt/pyxl/helper/pyxl-save-helper --save-domain 9 -1 99999 0 136 0 < /dev/null"
    bare = "python3 -c 'import ctypes, struct'"
    loop = "for i in 1 2 3 4 5 6 7 8 9 10; do {command} > /dev/null 2>&1; done; true"
    taken: dict[str, list[float]] = {name: [] for name in ("bare", "helper", "pyxl")}
    for _ in range(RUNS):
        for name, command in (("bare", bare), ("helper", helper), ("pyxl", "pyxl --version")):
            taken[name].append(measured(dom0, f"sh -c {shlex.quote(loop.format(command=command))}")[0] / 10)
    print(f"\nstart-up, median of {RUNS} times ten: " + ", ".join(
        f"{name} {statistics.median(times):.2f} s" for name, times in taken.items()))  # fmt: skip
    for name in ("helper", "pyxl"):
        ratio = statistics.median(mine / other for mine, other in zip(taken[name], taken["bare"], strict=True))
        print(f"{name:11}  ratio {ratio:.2f} to a bare Python with ctypes and struct")


if __name__ == "__main__":
    assert Path("pyproject.toml").exists(), "run it at the top of the tree: make bench"
    main()
