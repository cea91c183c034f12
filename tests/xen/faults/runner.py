"""Does one fault after another on the lab, and judges what is left of guest, file and host."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.xen.conftest import Dom0
from tests.xen.faults.table import Fault

GUEST = "tick"
HOME = "/root/faults"
GOOD = f"{HOME}/good"
#: What `create` is given; its uuid is known, so that its journal is.
CONFIG = f"{HOME}/create.cfg"
CREATED_UUID = "faa1faa1-0000-4000-8000-000000000001"
#: Seconds from a fault to the end of its operation: the longest deadlines are 60 s for a guest and as many for qemu.
LIMIT = 200
#: Seconds until nothing is left, once the operation has ended; more where a monitor has to find its process dead.
SETTLE = 10
HEAL = 40
#: How long an operation takes, as long as none was seen.
SPAN = 5.0
#: Within which dom0 has to have done one.
ANSWER = 600
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
    """A lab with one guest, which runs, or lies in a good checkpoint, whenever a fault begins."""

    def __init__(self, dom0: Dom0, seed: int) -> None:
        self.dom0 = dom0
        self.seed = seed
        self.hash = ""
        self._uuid = ""
        self._span: dict[tuple[str, str], float] = {}  # how long an operation took last time, in seconds
        self._emulator: int | None = None

    def begin(self) -> None:
        """In a lab that comes from its snapshot: take the guest's checkpoint, and do without the other guests."""
        dom0 = self.dom0
        if self._emulator == dom0.lab.machine.pid():
            return
        if dom0.domid(GUEST) is None:
            dom0.start_over()
        dom0.run(f"rm -rf {HOME}; mkdir -p {HOME}")
        self.hash = dom0.wake(GUEST).hash
        self._uuid = dom0.uuid(GUEST)
        dom0.run(
            f"(sed 's/\"{GUEST}\"/\"created\"/' /etc/xen/lab/{GUEST}.cfg; echo 'uuid = \"{CREATED_UUID}\"') > {CONFIG}; "
            f"pyxl save {GUEST} {GOOD} && xl list | awk 'NR > 2 {{ print $2 }}' | xargs -rn1 xl destroy; "
            "rm -f /var/lib/xen/qemu-*; sync"
        )
        self._emulator = dom0.lab.machine.pid()

    def run(self, fault: Fault, tool: str) -> Verdict:
        """Do a fault to an operation of ``tool``.

        :raise LabLost: the emulator or the guest died for reasons of its own.
        """
        self.begin()
        started = time.monotonic()
        seen = self._inject(fault, tool)
        seconds = time.monotonic() - started
        bad = tuple(self._wrong(fault, tool, seen))
        if bad or seen["struck"] is None:
            self.dom0.blame_emulator()
        said = seen["said"] + (f"; recover: {seen['recovered']}" if "recovered" in seen else "")
        if seen["struck"] is None:
            # Of xl's there may be no such moment; of what takes a random time, it may come too late.
            ours = tool == "pyxl" and fault.when != "random"
            return Verdict(("the fault's moment never came",), ours, seconds, "never", said)
        self._span[tool, fault.operation] = seen["seconds"]
        took = f"after {seen['struck']:.1f} s of {seen['seconds']:.1f}, settled in {seen['settled']:.1f}"
        return Verdict(bad, True, seconds, took, said)

    def _ask(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Have dom0 do a fault.

        :raise LabLost: the emulator died, or dom0 does not answer.
        """
        return dict(self.dom0.link.ask("fault", ANSWER, spec=spec)["seen"])

    def have_guest(self, tool: str) -> None:
        """Have the guest running, restored by ``tool``."""
        self.begin()
        self.clean_up()
        self.dom0.run(f"{tool} restore {GOOD}")

    def clean_up(self) -> None:
        """Take away by force the guest, and what an operation left."""
        self._ask({})

    def _inject(self, fault: Fault, tool: str) -> dict[str, Any]:
        goes_on = "-c" in fault.operation.split() or fault.operation.startswith("checkpoint")
        may_be = ["running"] if goes_on else ["gone", "running"]
        if fault.operation == "save -p":
            may_be = ["running", "paused"]
        spec = {
            "tool": tool, "operation": fault.operation, "when": fault.when, "what": fault.what, "monitor": fault.monitor,
            "uuid": self._uuid, "hash": self.hash, "limit": LIMIT, "deaf": fault.deaf or fault.guest_ends,
            "seed": self.seed ^ zlib.crc32(fault.name.encode()), "span": self._span.get((tool, fault.operation), SPAN),
            "recover": fault.what == "all killed" or (tool == "pyxl" and fault.needs_recover),
            "settle": HEAL if fault.killed or fault.guest_ends else SETTLE,
            "may_be": ["gone", "running"] if fault.guest_ends else may_be,
        }  # fmt: skip
        return self._ask(spec)

    def _wrong(self, fault: Fault, tool: str, seen: dict[str, Any]) -> Iterator[str]:
        """Yield what is not as it should be."""
        guest, file, hashes = seen["guest"], seen["file"], seen["hashes"]
        yield from (f"left: {what}" for what in seen["left"])
        if seen["status"] == "hung":
            yield f"not done within {LIMIT} s"
        if fault.harmless and seen["status"] != 0:
            yield f"it failed: status {seen['status']}"
        if tool == "pyxl" and "Traceback" in seen["said"]:
            yield "a traceback"
        if fault.is_save:
            if file == "none":
                yield "the old file is gone"
            if guest == "gone" and file != "new" and not fault.guest_ends:
                yield "the guest is gone, and so is what it was"
        elif fault.spoils and guest != "gone":
            yield "a guest came of a file that is not what was saved"
        if guest not in ("running", "gone", *(["paused"] if fault.operation == "save -p" else [])):
            yield f"the guest is {guest}"
        for which, said in hashes.items():
            if said != self.hash:
                yield f"the {which} guest is not what it was: {said}"
