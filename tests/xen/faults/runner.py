"""Does one fault after another on the lab, and judges what is left of guest, file and host."""

import json
import shlex
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.xen.conftest import Dom0, Tick
from tests.xen.faults.table import Fault

GUEST = "tick"
HOME = "/root/faults"
GOOD = f"{HOME}/good"
CONFIG = f"{HOME}/create.cfg"
PROGRAM = Path(__file__).with_name("in_dom0.py")
#: Seconds from a fault to the end of its operation: the longest deadlines are 60 s for a guest and as many for qemu.
LIMIT = 200
#: Seconds until nothing is left, once the operation has ended; more where a monitor has to find its process dead.
SETTLE = 10
HEAL = 40
#: How long an operation takes, as long as none was seen.
SPAN = 10.0
TOOLS = ("pyxl", "xl")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a tool stood a fault: ``bad`` says what is not as it should be; ``counts`` is False where there was none."""

    bad: tuple[str, ...]
    counts: bool
    seconds: float
    struck: str
    said: str

    @property
    def word(self) -> str:
        if not self.counts:
            return "n/a"
        return "FAILED" if self.bad else "ok"


class Faults:
    """A lab whose guest is there, or lies in a good checkpoint, whenever a fault begins."""

    def __init__(self, dom0: Dom0, seed: int) -> None:
        self.dom0 = dom0
        self.seed = seed
        self.hash = ""
        self._span: dict[tuple[str, str], float] = {}  # how long an operation took last time, in seconds
        self._tool = ""  # whose the guest is; none where it has to be made anew
        self._emulator: int | None = None

    def begin(self) -> None:
        """In a lab that comes from its snapshot: take the guest's checkpoint with stock xl."""
        dom0 = self.dom0
        if self._emulator == dom0.lab.machine.pid():
            return
        if dom0.domid(GUEST) is None:
            dom0.start_over()
        dom0.run(f"rm -rf {HOME}; mkdir -p {HOME}")
        dom0.lab.exec(f"cat > {HOME}/in_dom0.py", input=PROGRAM.read_bytes(), check=True)
        self.hash = dom0.wake(GUEST).hash
        dom0.run(f"sed 's/\"{GUEST}\"/\"created\"/' /etc/xen/lab/{GUEST}.cfg > {CONFIG}; xl save {GUEST} {GOOD}; sync")
        self._tool = ""
        self._emulator = dom0.lab.machine.pid()

    def run(self, fault: Fault, tool: str) -> Verdict:
        """Do a fault to an operation of ``tool``.

        :raise LabLost: the emulator or the guest died for reasons of its own.
        """
        self.begin()
        started = time.monotonic()
        self._ready(fault, tool)
        seen = self._inject(fault, tool)
        if seen["struck"] == "":
            self._tool = ""
            ours = tool == "pyxl" and not fault.when.startswith("random")
            return Verdict(("the fault's moment never came",), ours, 0, "", str(seen["said"]))
        self._span[tool, fault.operation] = seen["seconds"]
        bad = [f"left: {what}" for what in seen["left"]]
        if seen["status"] == "hung":
            bad.append(f"not done within {LIMIT} s")
        if tool == "pyxl" and "Traceback" in seen["said"]:
            bad.append("a traceback")
        if seen["left"]:
            self.clean_up()
        try:
            bad += getattr(self, f"_judge_{fault.operation.split()[0]}")(fault, tool, seen)
        except AssertionError as error:
            bad.append(str(error))
        if bad or fault.guest_ends or fault.deaf:
            self._tool = ""
        said = str(seen["said"]).strip() + (f"; recover: {seen['recovered']}" if seen["recovered"] else "")
        return Verdict(tuple(bad), True, time.monotonic() - started, str(seen["struck"]), said)

    def _ready(self, fault: Fault, tool: str) -> None:
        """Have the guest running under ``tool`` for a save, and gone for a restore."""
        if fault.operation.startswith("save"):
            self.have_guest(tool, fault.monitor)
        else:
            self.clean_up()
            self.remove_guest()

    def have_guest(self, tool: str, monitor: bool = True) -> None:
        """Have the guest running, restored by ``tool`` with its monitor or without one."""
        self.begin()
        mine = tool if monitor else "nobody"
        if self._tool != mine:
            self.clean_up()
            self.remove_guest()
            self._restore(tool, GOOD, "" if monitor else "-e ")
            self._tool = mine

    def guest_is_gone(self) -> None:
        """Forget a guest that was saved or destroyed."""
        self._tool = ""

    def _inject(self, fault: Fault, tool: str) -> dict[str, Any]:
        may_be = {"save": ["gone", "running"], "save -c": ["running"], "save -p": ["running", "paused"]}.get(
            fault.operation, ["gone", "running", "paused"]
        )
        spec = {
            "tool": tool, "operation": fault.operation, "when": fault.when, "what": fault.what, "guest": GUEST,
            "seed": self.seed ^ zlib.crc32(fault.name.encode()), "span": self._span.get((tool, fault.operation), SPAN), "limit": LIMIT,
            "recover": tool == "pyxl" and fault.needs_recover,
            "settle": HEAL if fault.killed or fault.guest_ends else SETTLE,
            "may_be": ["gone", "running"] if fault.guest_ends else may_be,
        }  # fmt: skip
        done = self.dom0.run(f"python3 {HOME}/in_dom0.py {shlex.quote(json.dumps(spec))}", timeout=600)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    # Judgement.

    def _judge_save(self, fault: Fault, tool: str, seen: dict[str, Any]) -> Iterator[str]:
        guest, file = seen["guest"], seen["file"]
        if file == "none":
            yield "the old file is gone"
        if not fault.guest_ends:
            if guest == "paused" and fault.operation == "save -p":
                self.dom0.run(f"xl unpause {GUEST}")
                guest = "running"
            if guest == "running" and not fault.deaf:
                yield from self._wrong(self.dom0.tick(GUEST))
            elif guest not in ("running", "gone"):
                yield f"the guest is {guest}"
            elif guest == "gone" and file != "new":
                yield "the guest is gone, and so is what it was"
        if file == "new":
            self.remove_guest()
            self._restore(tool, str(seen["target"]))
            yield from self._wrong(self.dom0.tick(GUEST))
            self._tool = tool

    def _judge_restore(self, fault: Fault, tool: str, seen: dict[str, Any]) -> Iterator[str]:
        if seen["guest"] not in ("running", "gone") and not fault.guest_ends:
            yield f"the guest is {seen['guest']}"
            self.remove_guest()
        if seen["guest"] != "running":
            self._restore(tool, GOOD)
        elif fault.what == "qemu killed":
            return
        yield from self._wrong(self.dom0.tick(GUEST))
        self._tool = tool

    def _judge_create(self, fault: Fault, tool: str, seen: dict[str, Any]) -> Iterator[str]:
        if seen["guest"] not in ("running", "gone") and not fault.guest_ends:
            yield f"the guest is {seen['guest']}"
        if seen["guest"] == "gone":
            made = self.dom0.run(f"{tool} create -p {CONFIG}", check=False)
            if made.status:
                yield f"the same create fails now: {made.stderr}"
        self.dom0.run("xl destroy created", check=False)

    def _wrong(self, tick: Tick) -> Iterator[str]:
        if tick.hash != self.hash:
            yield "the guest runs on changed memory"

    # The guest and its host.

    def _restore(self, tool: str, file: str, flags: str = "") -> None:
        self.dom0.run(f"{tool} restore {flags}{file}")

    def remove_guest(self) -> None:
        self.dom0.run(f"while n=$(xl domid {GUEST} 2>/dev/null); do xl destroy $n || break; done")
        self._tool = ""

    def clean_up(self) -> None:
        """Take away by force what an operation left, so that the next one finds nothing of it."""
        self.dom0.run(
            "for p in $(pgrep -f -- '--(save|restore)-domain|(xl|pyxl) save '); do kill -9 $p; done 2>/dev/null; "
            "xl list | awk 'NR > 2 && $1 !~ /^(tick|big|disk|plain)$/ { print $(NF - 4) }' | xargs -rn1 xl destroy; "
            "for p in $(pgrep -f -- 'qemu-system-i386 -xen-domid'); do "
            "n=$(tr '\\0' ' ' < /proc/$p/cmdline | sed 's/.*-xen-domid \\([0-9]*\\) .*/\\1/'); "
            "xl domname $n >/dev/null 2>&1 || kill -9 $p; done; "
            "rm -rf /var/lib/xen/qemu-save.* /var/lib/xen/qemu-resume.* /var/lib/xen/userdata-l.* /var/lib/xen/pyxl; "
            "for d in $(xenstore-list /local/domain); do xl domname $d > /dev/null 2>&1 || [ $d = 0 ] || "
            "xenstore-rm /local/domain/$d; done",
            check=False,
        )
