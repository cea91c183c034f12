"""Saves and checkpoints of a guest that writes all the time, each restored and looked at.

The guest rewrites a file from its beginning to its end, each time with another byte: at any moment it holds at most two
bytes, the newer one in front.  A page of the wrong round would stand out.
"""

import json
import random
from collections.abc import Iterator

from tests.xen.conftest import PLACE, Dom0
from tests.xen.faults.runner import GUEST, Faults

FILE, REPOSITORY = f"{PLACE}/live", f"{PLACE}/lives"
WAYS = (
    ("save --live -c", FILE), ("checkpoint", REPOSITORY), ("save --live -c --compress", FILE),
    ("checkpoint --keep last=3", REPOSITORY), ("save --live -c --engine libxc", FILE),
)  # fmt: skip
#: MiB that the guest rewrites once a second.
LOADS = (1, 4, 16)
#: How many bytes the file holds, each counted once where it is repeated.
BYTES = "sh kill -STOP $writer; tr -s '\\000-\\007' < /run/dirtied | wc -c; kill -CONT $writer"


def run(faults: Faults, count: int, seed: int) -> Iterator[str]:
    """Do it so many times, and yield what was wrong each time that something was."""
    faults.have_guest("pyxl")
    dom0, chance = faults.dom0, random.Random(seed)
    dom0.run(f"mkdir -p {PLACE}; rm -rf {FILE} {REPOSITORY}")
    for number in range(count):
        way, place = WAYS[number % len(WAYS)]
        load = chance.choice(LOADS)
        dom0.ask(GUEST, "^dirtying", f"dirty {load}")
        dom0.ask(GUEST, "^wrote", f"write /run/which {number}")
        if bad := _once(dom0, faults.hash, way, place, number):
            yield f"{number + 1}, {way}, {load} MiB/s: {bad}"
            faults.have_guest("pyxl")


def _once(dom0: Dom0, wanted: str, way: str, place: str, number: int) -> str:
    said = json.loads(dom0.pyxl(f"{way} --json --progress none {GUEST} {place}").stdout)
    dom0.tick(GUEST)
    dom0.ask(GUEST, "^wrote", "write /run/which later")
    dom0.run(f"xl destroy {GUEST}; pyxl restore --progress none {place}")
    held = int(dom0.ask(GUEST, r"^sh \d+", BYTES).split()[1])
    found = dom0.tick(GUEST)
    if found.hash != wanted:
        return f"its memory has the hash {found.hash}"
    if (which := dom0.ask(GUEST, "^read", "read /run/which").split()[-1]) != str(number):
        return f"it is of another moment: {which}"
    return "" if held <= 2 else f"its file holds {held} bytes; {said}"


def table(faults: Faults, count: int) -> int:
    """Print what was wrong, and return how often something was."""
    bad = 0
    for said in run(faults, count, faults.seed):
        bad += 1
        print(f"    {said}", flush=True)
    print(f"saves and checkpoints of a guest that writes: {bad} of {count} were not as they should be", flush=True)
    return bad
