"""Faults of what copies disks, keeps copies and puts them back: nothing is lost, nothing shared, nothing left.

Each row is a command, what its hook (hook.sh) does, and what is done to the command; what has to be true then is the
same for all rows of a kind.
"""

import difflib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.xen.clones.test_clones import ORIGINS, TRACES, XFS, alone, nobody_at_work, reads, stores, wrote
from tests.xen.conftest import PLACE, Dom0, Tick

#: The guest's checkpoint, without and with copies of its disks, and what a save under a fault writes.
GOOD, WITH_DISKS, NEW = f"{PLACE}/good", f"{PLACE}/with-disks", f"{PLACE}/new"
HOOK = "hook:/root/hook.sh"
PLACES = f"{XFS}/disk-hda.raw {XFS}/disk-hdb.qcow2"
LEFT = f"{TRACES}; ls -A {XFS} {PLACE}; ls -A /var/lib/xen/pyxl; sha256sum {ORIGINS}"
#: What starts a command that is killed or interrupted; a shell's background would not hear SIGINT.
_BEGIN = "rm -f /root/hook-hangs; setsid python3 -c 'import os, signal, sys; signal.signal(2, signal.default_int_handler); os.execvp(sys.argv[1], sys.argv[1:])'"


class Fault(NamedTuple):
    """``command`` is pyxl's; ``signal`` comes when the hook hangs, or ``phase`` is in the journal; none: it fails."""

    name: str
    command: str
    hook: str = "works"
    signal: str = ""
    phase: str = ""


SAVES = (
    Fault("a copy fails", f"save -c --disks={HOOK} disk {NEW}", "2 fails"),
    Fault("its program is missing", f"save -c --disks=hook:/root/none disk {NEW}"),
    Fault("its program hangs, Ctrl-C", f"save -c --disks={HOOK} disk {NEW}", "2 hangs", "INT"),
    Fault("its program hangs, SIGKILL", f"save -c --disks={HOOK} disk {NEW}", "2 hangs", "KILL"),
    Fault("no room for a copy", f"save -c --disks=copy disk {NEW}", "no room"),
    Fault("killed at the commit", f"save -c --disks={HOOK} disk {NEW}", "works", "KILL", "COMMIT"),
)
RESTORES = (
    Fault("a copy fails", f"restore --disks {WITH_DISKS}", "2 fails"),
    Fault("its program hangs, SIGKILL", f"restore --disks {WITH_DISKS}", "2 hangs", "KILL"),
    Fault("its program hangs, Ctrl-C", f"restore --disks {WITH_DISKS}", "1 hangs", "INT"),
    Fault("killed while it is built", f"restore --disks {WITH_DISKS}", "works", "KILL", "BUILD"),
    Fault("interrupted while it is built", f"restore --disks {WITH_DISKS}", "works", "INT", "BUILD"),
)
CLONES = (
    Fault("the copy of one fails", f"clone --copy={HOOK} --count 2 {GOOD} lab", "4 fails"),
    Fault("its program hangs, SIGKILL", f"clone --copy={HOOK} --count 2 {GOOD} lab", "3 hangs", "KILL"),
    Fault("its program hangs, Ctrl-C", f"clone --copy={HOOK} --count 2 {GOOD} lab", "3 hangs", "INT"),
    Fault("no room for a copy", f"clone --copy=copy --count 2 {GOOD} lab", "no room"),
    Fault("killed while it is built", f"clone --copy={HOOK} --count 2 {GOOD} lab", "works", "KILL", "BUILD"),
)


def strike(dom0: Dom0, fault: Fault) -> str:
    """Run the command of a fault, which has to fail by it; return what it said."""
    dom0.run(f"echo 0 > /root/hook-calls; echo {fault.hook} > /root/hook-does; rm -f /root/hook-hangs")
    if fault.hook == "no room":
        dom0.run(f"for size in 1M 4k; do dd if=/dev/zero bs=$size status=none >> {XFS}/other; sync; done", check=False)
    if fault.signal:
        come = f'grep -qs \'"{fault.phase}"\' /var/lib/xen/pyxl/*' if fault.phase else "test -e /root/hook-hangs"
        said = dom0.run(
            f"{_BEGIN} pyxl {fault.command} > /root/said 2>&1 & n=0; until {come}; do sleep 0.02; n=$((n + 1)); "
            f"[ $n -lt 3000 ] || exit 9; done; kill -{fault.signal} $!; wait $!; status=$?; cat /root/said; exit $status",
            check=False,
        )
    else:
        said = dom0.pyxl(fault.command, check=False)
    dom0.run(f"echo works > /root/hook-does; rm -f {XFS}/other")
    assert said.status not in (0, 9), f"{fault.name}: {said}"
    assert "Traceback" not in said.stdout + said.stderr, said
    return said.stdout + said.stderr


@contextmanager
def prepared(dom0: Dom0) -> Iterator[Tick]:
    """Have a guest run with its disks on XFS, and its two checkpoints; return its tick."""
    with alone(dom0), stores(dom0):
        dom0.put("/root/hook.sh", Path(__file__).with_name("hook.sh").read_bytes(), 0o755)
        dom0.run("echo works > /root/hook-does; echo 0 > /root/hook-calls")
        wrote(dom0, "disk", "good")
        dom0.run(
            f"set -e; pyxl save disk {GOOD}.0; cp {ORIGINS} {XFS}; "
            f"pyxl restore --disk hda={XFS}/disk-hda.raw --disk hdb={XFS}/disk-hdb.qcow2 {GOOD}.0; rm {GOOD}.0; "
            f"pyxl save -c --disks={HOOK} disk {WITH_DISKS}"
        )
        yield dom0.tick("disk")


def nothing_left(dom0: Dom0, look: str, traces: str, about: str) -> None:
    found = dom0.run(look).stdout
    assert found == traces, "\n".join((about, *difflib.ndiff(traces.splitlines(), found.splitlines())))


def saves(dom0: Dom0, before: Tick) -> None:
    """The guest goes on, and the old file stays."""
    dom0.run(f"echo old > {NEW}")
    traces = dom0.run(LEFT).stdout
    for fault in SAVES:
        said = strike(dom0, fault)
        if fault.signal == "KILL":
            dom0.pyxl("recover")
            nobody_at_work(dom0)
        after = dom0.tick("disk")
        assert after.hash == before.hash and after.counter > before.counter, (fault.name, said)
        if fault.phase == "COMMIT" and dom0.run(f"stat -c %s {NEW}").stdout != "4\n":
            # It had its name already: then it is whole, with its copies.
            dom0.pyxl(f"verify {NEW}")
            dom0.run(f"pyxl checkpoints remove {NEW}; echo old > {NEW}")
        nothing_left(dom0, LEFT, traces, f"{fault.name}: {said}")
        assert dom0.run(f"cat {NEW}").stdout == "old\n", fault.name
    dom0.run(f"rm {NEW}")


def restores(dom0: Dom0, before: Tick) -> None:
    """The disks are those that were there before, and a later restore has those of the checkpoint."""
    wrote(dom0, "disk", "later")
    dom0.run("xl destroy disk; sleep 1")
    look = f"{LEFT}; sha256sum {PLACES}"
    traces = dom0.run(look).stdout
    for fault in RESTORES:
        said = strike(dom0, fault)
        if fault.signal == "KILL":
            dom0.pyxl("recover")
        nothing_left(dom0, look, traces, f"{fault.name}: {said}")
    dom0.pyxl(f"restore --disks {WITH_DISKS}")
    assert dom0.tick("disk").hash == before.hash and reads(dom0, "disk") == "good"


def clones(dom0: Dom0, before: Tick) -> None:
    """One that fails leaves the others; what a killed one has made, `clone --discard` takes away."""
    dom0.pyxl(f"save disk {GOOD}")
    traces = dom0.run(LEFT).stdout
    for fault in CLONES:
        said = strike(dom0, fault)
        if fault.hook == "4 fails":
            assert "the array has no room" in said
            assert dom0.tick("lab-1").hash == before.hash
            moved(dom0, before, traces)
        nobody_at_work(dom0)  # the restores that a killed clone has started go on
        if names := [clone["name"] for clone in json.loads(dom0.pyxl("list --clones --json").stdout)]:
            dom0.pyxl(f"clone --discard {' '.join(names)}")
        nothing_left(dom0, LEFT, traces, f"{fault.name}: {said}")


def moved(dom0: Dom0, before: Tick, traces: str) -> None:
    """What its disk was made of is elsewhere: no revert, and the clone runs on."""
    dom0.run(f"mv {XFS}/disk-hda.raw {XFS}/elsewhere")
    assert f"what its disk hda was made of is gone: {XFS}/disk-hda.raw" in dom0.refused("revert lab-1")
    dom0.run(f"mv {XFS}/elsewhere {XFS}/disk-hda.raw")
    assert dom0.tick("lab-1").hash == before.hash


@pytest.mark.soak
def test_faults_of_disks_in_step_and_of_clones(dom0: Dom0) -> None:
    with prepared(dom0) as before:
        saves(dom0, before)
        restores(dom0, before)
        clones(dom0, before)
        dom0.pyxl(f"checkpoints remove {WITH_DISKS}")
        dom0.pyxl(f"restore {GOOD}")
        assert dom0.tick("disk").hash == before.hash
