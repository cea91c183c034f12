"""Two operations on one guest at once: one wins, the other says why."""

import re
from dataclasses import dataclass

from tests.xen.faults.runner import GUEST, HOME, TOOLS, Faults

A, B = f"{HOME}/race.a", f"{HOME}/race.b"


@dataclass(frozen=True, slots=True)
class Race:
    """``second`` starts once ``first`` has its save-helper, or at the same time if ``helper`` is empty.

    ``helper`` is an argument of that save-helper.  ``running``: the guest exists before.  ``forces``: the second ends
    the guest in any case; it wins, or both do if the file is already whole.
    """

    name: str
    first: str
    second: str
    helper: str = ""
    running: bool = True
    forces: bool = False


RACES = (
    Race("two saves of one domain", f"save {GUEST} {A}", f"save {GUEST} {B}"),
    Race("a save during a save", f"save {GUEST} {A}", f"save {GUEST} {B}", "--save-domain"),
    Race("a save during a restore", f"restore {A}", f"save {GUEST} {B}", "--restore-domain", running=False),
    Race("a destroy during a save", f"save {GUEST} {A}", f"destroy {GUEST}", "--save-domain"),
    Race("a destroy by force during a save", f"save {GUEST} {A}", f"destroy --force {GUEST}", "--save-domain", forces=True),
    Race("one file restored twice", f"restore {A}", f"restore {A}", running=False),
)
#: What the loser must say: a mere failure is not enough.
REASON = "is in progress|exists already|went away|is gone|no domain|no such domain"


def run(faults: Faults, race: Race, tool: str) -> list[str]:
    """Run both, and return what is wrong afterwards."""
    dom0 = faults.dom0
    faults.have_guest(tool)
    before = "true" if race.running else f"{tool} save {GUEST} {A}"
    # The pattern must not match its own command line.
    at_it = f"pgrep -f -- '[-]{race.helper[1:]}'" if race.helper else "true"
    done = dom0.run(
        f"cd {HOME}; rm -f {A} {B}; {before} > out; {tool} {race.first} > out.a 2>&1 & a=$!; "
        f"for i in $(seq 600); do {at_it} > /dev/null && break; sleep 0.05; done; "
        f"{tool} {race.second} > out.b 2>&1; b=$?; wait $a; echo $? $b; ls -A; echo; cat out.a; echo; cat out.b"
    )
    head, first_said, second_said = (done.stdout + "\n").split("\n\n", 2)
    statuses, *files = head.splitlines()
    first, second = statuses.split()
    bad = [f"left: {name}" for name in files if ".race" in name]
    won = [first, second].count("0")
    if won == 0 or (won == 2 and not race.forces):
        return [*bad, f"statuses {first} and {second}: {done.stdout}"]
    if won == 1 and not re.search(REASON, second_said if first == "0" else first_said):
        bad.append(f"the one that lost does not say why: {done.stdout}")
    ended = dom0.domid(GUEST) is None
    if race.forces and not ended:
        bad.append(f"it was not ended: {done.stdout}")
    if ended and race.second.startswith("destroy") and first != "0":
        return bad
    if ended:
        dom0.run(f"{tool} restore {A if first == '0' else B}")
    if dom0.tick(GUEST).hash != faults.hash:
        bad.append("the guest runs on changed memory")
    return bad


def table(faults: Faults) -> int:
    """Print how the tools do with two operations at once, and return how often pyxl failed."""
    failed = 0
    for race in RACES:
        found: dict[str, list[str]] = {}
        for tool in TOOLS if not race.forces else TOOLS[:1]:  # xl never asks: there is nothing to force
            try:
                found[tool] = run(faults, race, tool)
            except AssertionError as error:
                found[tool] = [str(error)]
        print(f"{race.name:32}  " + "  ".join(f"{'FAILED' if bad else 'ok':6}" for bad in found.values()))
        for tool, bad in found.items():
            if bad:
                print(f"    {tool}: {'; '.join(bad)}", flush=True)
        failed += bool(found["pyxl"])
    return failed
