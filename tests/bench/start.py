"""How long the programs take to start: in dom0, and natively up to the line that this is no Xen host."""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyxl.lab.host import PYXL
from tests.bench.options import PAIRS
from tests.xen.conftest import Dom0

TIMES = 10
#: What each is compared with.
OF = {"helper": "bare", "pyxl": "click", "list": "click", "tab": "click"}
#: As a package installs it: a module that is compiled, without the shell that the lab puts before it.
START = "from pyxl.__main__ import main; main()"
LOOP = "for i in $(seq {times}); do {command} > /dev/null 2>&1; done; true"


def commands(python: str) -> dict[str, str]:
    """Return what is measured, by its name."""
    start = f"{python} -P -c {shlex.quote(START)}"
    return {
        "bare": f"{python} -c 'import ctypes, struct'",
        "click": f"{python} -P -c 'import click'",
        "pyxl": f"{start} --version",
        "list": f"{start} list",
        "tab": f"env _PYXL_COMPLETE=zsh {start} destroy ''",
    }


def bench(dom0: Dom0) -> None:
    """Measure in dom0, and the save-helper with them."""
    environment = f"export PYTHONPATH={PYXL}; "
    # The impossible domid fails in the first call into Xen, after all imports.
    helper = f"{PYXL}/helper/pyxl-save-helper --save-domain 9 -1 99999 0 136 0 < /dev/null"

    def seconds(command: str) -> float:
        loop = shlex.quote(LOOP.format(times=TIMES, command=command))
        return float(dom0.run(f"{environment}TIMEFORMAT=%R; time bash -c {loop}").stderr) / TIMES

    measure("in dom0", commands("python3") | {"helper": helper}, seconds)


def natively() -> None:
    """Measure this checkout's, in the Python that runs this, its modules compiled, and no editable install in the way."""
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory)
        for package in ("click", "pyxl"):
            (site / package).symlink_to(Path(str(__import__(package).__file__)).parent)
        # -S: what the virtual environment adds to each start is not the programs'.
        environment = {"PYTHONPATH": directory, "PATH": os.environ["PATH"], "HOME": directory}

        def seconds(command: str) -> float:
            began = time.monotonic()
            for _ in range(TIMES):
                subprocess.run(shlex.split(command), env=environment, stdout=-3, stderr=-3, check=False)
            return (time.monotonic() - began) / TIMES

        measure("natively", commands(f"{sys._base_executable} -S"), seconds)  # type: ignore[attr-defined]


def measure(where: str, programs: dict[str, str], seconds: Callable[[str], float]) -> None:
    """Print the medians, and the ratios of those that are compared."""
    for command in programs.values():  # the first one compiles, and warms the caches
        seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(PAIRS):
        for name in list(programs)[:: 1 if number % 2 else -1]:
            taken[name].append(seconds(programs[name]))
    print(f"\nstart-up {where}, medians of {PAIRS} times {TIMES}: " + ", ".join(
        f"{name} {statistics.median(times):.3f} s" for name, times in taken.items()))  # fmt: skip
    for name in programs.keys() & OF.keys():
        ratio = statistics.median(mine / other for mine, other in zip(taken[name], taken[OF[name]], strict=True))
        print(f"{name:11}  ratio {ratio:.2f} to {OF[name]}")
