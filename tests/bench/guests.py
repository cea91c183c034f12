"""Saves and restores of guests on the lab by each program, by turns."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from pyxl.errors import LabLost
from tests.bench import fills
from tests.bench.fills import NAME, Spec
from tests.bench.options import BENCH, PAIRS
from tests.bench.programs import PROGRAMS, Program
from tests.bench.results import COLD, SAVE, WARM, Row, merged, read, write
from tests.xen.conftest import PLACE, Dom0

SCRIPT = f"{PLACE}/dom0.py"
FILE = f"{PLACE}/file"
#: Seconds that no command takes.
PATIENCE = 1200
#: So often the lab may be lost with one guest.
LOSSES = 3
STEPS = ((SAVE,) if "save" in BENCH else ()) + ((WARM, COLD) if "restore" in BENCH else ())


def bench(dom0: Dom0, results: Path) -> list[Row]:
    """Measure all guests that were asked for, and return what is known of those and of earlier ones.

    After each run it is written to ``results``, so that nothing is lost with the lab.
    """
    earlier = read(results)
    rows: list[Row] = []
    for spec in fills.specs():
        run = losses = 0
        is_there = False
        while run <= PAIRS:
            try:
                if not is_there:
                    _start(dom0, spec)
                    is_there = True
                rows += _run(dom0, spec, run, PROGRAMS if run % 2 else PROGRAMS[::-1])
            except LabLost as lost:
                losses += 1
                if losses > LOSSES:
                    raise
                print(f"lab lost, once more: {lost}", flush=True)
                is_there = False
            else:
                write(results, merged(earlier, rows))
                run += 1
    return merged(earlier, rows)


def _start(dom0: Dom0, spec: Spec) -> None:
    dom0.start_over()
    dom0.put(SCRIPT, (Path(__file__).parent / "dom0.py").read_bytes())
    fills.boot(dom0, spec)


def _run(dom0: Dom0, spec: Spec, run: int, tried: Sequence[Program]) -> list[Row]:
    """Save and restore the guest with each program, once; run 0 warms the caches, and finds the peaks."""
    rows = []
    for program in tried:
        dom0.run(f"rm -f {FILE}*; sync")
        for step in (SAVE, WARM) + ((COLD,) if COLD in STEPS else ()):
            if step == COLD:
                dom0.run(f"xl destroy {NAME}; sync; echo 3 > /proc/sys/vm/drop_caches")
            row = _measured(dom0, spec, run, program, step)
            if step in STEPS:
                rows.append(row)
                print(f"{spec}  run {run}  {row.program:16}  {row.step:15}  {row.wall:6.2f} s wall  {row.cpu:6.2f} s cpu"
                      f"  {row.stored >> 20:5} MiB stored  {row.peak:4.0f} MiB peak", flush=True)  # fmt: skip
        dom0.tick(NAME)
    return rows


def _measured(dom0: Dom0, spec: Spec, run: int, program: Program, step: str) -> Row:
    command = (program.save if step == SAVE else program.restore).format(guest=NAME, file=FILE)
    option = "" if run else "--peak "
    try:
        said = dom0.run(f"python3 -IS {SCRIPT} {option}{shlex.quote(command)}", timeout=PATIENCE).stdout
    except AssertionError:
        dom0.blame_emulator()
        raise
    stored = int(dom0.run(f"du -B1 {FILE} | cut -f1").stdout)
    return Row(spec.fill, spec.mib, program.name, step, run, stored=stored, **json.loads(said))
