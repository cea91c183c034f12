"""`make faults` and `make soak`: the table of faults with pyxl and with stock xl, on the lab."""

import argparse
import os
import secrets
import sys

from pyxl.errors import LabError, LabLost
from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps
from tests.xen.conftest import Dom0
from tests.xen.faults import cycles, flips, lives, power, races, strikes
from tests.xen.faults.runner import TOOLS, Faults, Verdict
from tests.xen.faults.table import Fault, chosen
from tests.xen.link import NAME, SUITE


def one(faults: Faults, fault: Fault, tool: str) -> Verdict:
    """Try a fault; if the lab is lost meanwhile, try once more from the snapshot."""
    try:
        return faults.run(fault, tool)
    except LabLost:
        faults.dom0.start_over()
        return faults.run(fault, tool)
    except (LabError, AssertionError, ValueError) as error:
        faults.dom0.start_over()
        return Verdict((f"{type(error).__name__}: {error}",), True, 0, "", "")


def table(faults: Faults, pattern: str, tools: tuple[str, ...], verbose: bool) -> int:
    """Print the table, and return how many faults pyxl failed."""
    rows = chosen(pattern)
    width = max((len(fault.name) for fault in rows), default=0)
    score = {tool: [0, 0] for tool in tools}
    print(f"{'fault':{width}}  " + "  ".join(f"{tool:6}" for tool in tools), flush=True)
    for fault in rows:
        verdicts = {tool: one(faults, fault, tool) for tool in tools if tool == "pyxl" or fault.is_xl_s}
        print(f"{fault.name:{width}}  " + "  ".join(f"{verdict.word:6}" for verdict in verdicts.values()), flush=True)
        for tool, verdict in verdicts.items():
            score[tool][0] += verdict.word == "ok"
            score[tool][1] += verdict.counts
            if verdict.bad and verdict.counts and (tool == "pyxl" or verbose):
                print(f"    {tool}: {'; '.join(verdict.bad)}\n    it said: {verdict.said}", flush=True)
            if verbose:
                print(f"    {tool}: struck {verdict.struck}, {verdict.seconds:.0f} s", flush=True)
    print(f"{'stood':{width}}  " + "  ".join(f"{stood}/{all_of}" for stood, all_of in score.values()))
    return score["pyxl"][1] - score["pyxl"][0] if "pyxl" in score else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.xen.faults", description=__doc__)
    parser.add_argument("what", choices=["faults", "flips", "cycles", "races", "strikes", "deaths", "lives", "power", "soak"])
    parser.add_argument("--tool", choices=TOOLS, action="append", help="pyxl or xl; both when left out")
    parser.add_argument("-v", action="store_true", help="say when each fault struck, and all of what went wrong")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--strikes", type=int, default=100)
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--losses", type=int, default=100)
    parser.add_argument("--deaths", type=int, default=500)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    lab = Lab(NAME, suite=SUITE, steps=Steps())
    failed = 0
    with lab.session("make faults"):
        lab.up()
        dom0 = Dom0(lab)
        dom0.start_over()
        faults = Faults(dom0, arguments.seed)
        if arguments.what in ("faults", "soak"):
            tools = tuple(arguments.tool or TOOLS)
            failed += table(faults, os.environ.get("PYXL_FAULTS", ""), tools, arguments.v)
        if arguments.what in ("flips", "soak"):
            failed += flips.table(faults, arguments.flips, arguments.cuts, arguments.seed)
        if arguments.what in ("cycles", "soak"):
            failed += cycles.table(faults, arguments.cycles)
        if arguments.what in ("strikes", "soak"):
            failed += strikes.table(faults, arguments.strikes)
        if arguments.what in ("deaths", "soak"):
            failed += strikes.deaths(faults, arguments.deaths)
        if arguments.what in ("races", "soak"):
            failed += races.table(faults)
        if arguments.what in ("lives", "soak"):
            failed += lives.table(faults, arguments.lives)
        if arguments.what in ("power", "soak"):
            failed += power.table(dom0, arguments.losses, arguments.seed)
        lab.down()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
