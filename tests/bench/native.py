"""What the benchmarks without Xen share: Xen's scripts from the lab, commands by turns, medians and ratios."""

import base64
import io
import os
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.options import PAIRS
from tests.standin import Taken
from tests.xen.conftest import Dom0
from tests.xen.link import XEN

CONVERT = "convert-legacy-stream"
VERIFY = "verify-stream-v2"
IN_DOM0 = f"cd {XEN}; tar -c bin/{CONVERT} bin/{VERIFY} lib/python/xen | base64"


def fetch(dom0: Dom0, directory: Path) -> None:
    """Copy the scripts and their library from the lab to ``directory``."""
    data = base64.b64decode(dom0.run(IN_DOM0).stdout)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(directory, filter="data")


#: Runs in a small process of its own: a child's peak memory includes its parent's at the start.
MEASURE = """
import os, resource, sys, time
started = time.monotonic()
status = os.waitstatus_to_exitcode(os.waitpid(os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", sys.argv[1]), 0)[1])
wall = time.monotonic() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def taken(scripts: Path, command: str) -> Taken:
    """Run a shell command with the scripts' modules and this tree's on its path, and return what it took."""
    environment = {**os.environ, "PYTHONPATH": f"{scripts / 'lib/python'}:{Path.cwd()}"}
    argv = [sys.executable, "-S", "-c", MEASURE, f"{{ {command}; }} >/dev/null 2>&1"]
    status, *figures = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert status == "0", f"{command}: status {status}"
    return Taken(*map(float, figures))


def compare(scripts: Path, what: str, other: str, ours: str, theirs: str, after: Callable[[], None] = lambda: None) -> None:
    """Run two commands by turns, and print the medians and their ratios; the first pair only warms the caches."""
    pairs = []
    for run in range(PAIRS + 1):
        times = {}
        for command in (theirs, ours) if run % 2 else (ours, theirs):
            times[command] = taken(scripts, command)
            after()
        pairs += [(times[ours], times[theirs])] if run else []
    for name in ("wall", "cpu"):
        mine, its = ([getattr(pair[side], name) for pair in pairs] for side in (0, 1))
        ratio = statistics.median(second / first for first, second in zip(mine, its, strict=True))
        print(f"{what:24} {name:5} pyxl {statistics.median(mine):6.2f} s   {other} {statistics.median(its):6.2f} s"
              f"   {ratio:.2f} times as fast")  # fmt: skip
    peaks = [max(pair[side].memory for pair in pairs) for side in (0, 1)]
    print(f"{what:24} peak  pyxl {peaks[0]:6.1f} MiB {other} {peaks[1]:6.1f} MiB")
