"""Two operations on one guest at once: one wins, the other says why."""

import shlex
from dataclasses import dataclass

from tests.xen.faults.runner import GUEST, HOME, TOOLS, Faults

A, B = f"{HOME}/race.a", f"{HOME}/race.b"


@dataclass(frozen=True, slots=True)
class Race:
    """``second`` starts once the shell's ``until`` is true of ``first``; ``running`` tells whether the guest is there before."""

    name: str
    first: str
    second: str
    until: str = "true"
    running: bool = True


RACES = (
    Race("two saves of one domain", f"save {GUEST} {A}", f"save {GUEST} {B}"),
    Race("a save during a save", f"save {GUEST} {A}", f"save {GUEST} {B}", "pgrep -f -- --save-domain"),
    Race("a save during a restore", f"restore {A}", f"save {GUEST} {B}", "pgrep -f -- --restore-domain", running=False),
    Race("a destroy during a save", f"save {GUEST} {A}", f"destroy {GUEST}", "pgrep -f -- --save-domain"),
    Race("one file restored twice", f"restore {A}", f"restore {A}", running=False),
)
#: Of the one that lost: it must not be a mere failure.
REASON = "is in progress|exists already|went away|there is no domain"


def run(faults: Faults, race: Race, tool: str) -> list[str]:
    """Let both run, and return what is not as it should be."""
    dom0 = faults.dom0
    faults.have_guest(tool)
    dom0.run(f"rm -f {A} {B}")
    if not race.running:
        dom0.run(f"{tool} save {GUEST} {A}")
    faults.guest_is_gone()
    script = (
        f"{tool} {race.first} > {HOME}/out.a 2>&1 & a=$!; "
        f"for i in $(seq 600); do {{ {race.until}; }} > /dev/null && break; sleep 0.05; done; "
        f"{tool} {race.second} > {HOME}/out.b 2>&1; b=$?; wait $a; echo $? $b"
    )
    first, second = dom0.run(f"bash -c {shlex.quote(script)}").stdout.split()
    said = dom0.run(f"cat {HOME}/out.a {HOME}/out.b").stdout
    bad = []
    if (first == "0") == (second == "0"):
        bad.append(f"statuses {first} and {second}: {said.strip()}")
    elif dom0.run(f"grep -qE {shlex.quote(REASON)} {HOME}/out.{'b' if first == '0' else 'a'}", check=False).status:
        bad.append(f"the one that lost does not say why: {said.strip()}")
    files = dom0.run(f"ls -A {HOME} | grep race || true").stdout.split()
    domid = dom0.domid(GUEST)
    if domid is None and race.second.startswith("destroy") and second == "0":
        return bad  # the guest was to end, and did
    if domid is None:
        winner = A if first == "0" else B
        dom0.run(f"{tool} restore {winner}")
    if dom0.tick(GUEST).hash != faults.hash:
        bad.append("the guest runs on changed memory")
    bad += [f"left: {name}" for name in files if name not in ("race.a", "race.b")]
    return bad


def table(faults: Faults) -> int:
    """Print how the tools stand two operations at once, and return how often pyxl did not."""
    failed = 0
    for race in RACES:
        found = {}
        for tool in TOOLS:
            try:
                found[tool] = run(faults, race, tool)
            except AssertionError as error:
                found[tool] = [str(error)]
            if found[tool]:
                faults.clean_up()
        print(f"{race.name:28}  " + "  ".join(f"{'FAILED' if bad else 'ok':6}" for bad in found.values()))
        for tool, bad in found.items():
            if bad:
                print(f"    {tool}: {'; '.join(bad)}", flush=True)
        failed += bool(found["pyxl"])
    return failed
