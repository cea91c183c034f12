"""Runs in dom0 and does what the tests ask for: a command's start by ssh costs more than most commands.

For each JSON object on a line of standard input, one on a line of standard output.  It judges nothing.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.xen.agent.consoles import Consoles, Nothing
from tests.xen.agent.host import Store, Xen

#: For which a domain that was destroyed may still be there.
DYING_SECONDS = 10
#: Between two looks: this agent's xenstore client has no watches, and Xen calls nobody who has none.
LOOK_SECONDS = 0.1

Answer = dict[str, Any]


class Agent:
    """What can be asked for, by the names of its methods."""

    def __init__(self) -> None:
        self.xen, self.store = Xen(), Store()
        self.consoles = Consoles(self.store)

    def run(self, command: str, seconds: float) -> Answer:
        """Run a line of bash; what it leaves running in the background goes on.

        Its output goes to files: a pipe would be waited for until all who have it have ended.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       cwd="/root", start_new_session=True)  # fmt: skip
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return {"error": f"not done after {seconds:.0f} s: {command}"}
            return {"status": status, "stdout": _text(out), "stderr": _text(err)}

    def lanes(self, lanes: list[list[str]], seconds: float) -> Answer:
        """Run lines of bash, those of a lane one after the other, the lanes side by side."""
        with ThreadPoolExecutor(len(lanes)) as pool:
            run = pool.map(lambda lane: [self.run(command, seconds) for command in lane], lanes)
            return {"results": list(run)}

    def put(self, path: str, data: str, mode: int) -> Answer:
        """Write a file, of ``data`` in base64, with its directory."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(data))
        Path(path).chmod(mode)
        return {}

    def tick(self, name: str, seconds: float) -> Answer:
        return {"line": self.consoles.tick(name, seconds)}

    def ask(self, name: str, pattern: str, words: str, seconds: float) -> Answer:
        return {"line": self.consoles.ask(name, pattern, words, seconds)}

    def send(self, name: str, words: str) -> Answer:
        self.consoles.send(name, words)
        return {}

    def domid(self, name: str) -> Answer:
        return {"domid": self.store.domid(name) or None}

    def uuid(self, name: str) -> Answer:
        domain = self.xen.domain(self.store.domid(name))
        return {"uuid": domain.uuid if domain else ""}

    def domains(self) -> Answer:
        """Return the names of all domains but dom0, sorted; one that dies may take until its memory is free."""
        end = time.monotonic() + DYING_SECONDS
        while any(domain.dying for domain in self.xen.domains()) and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        return {"names": sorted(self.store.read(f"/local/domain/{domid}/name") for domid in self.xen.domids() - {0})}

    def unpause(self, name: str) -> Answer:
        self.xen.unpause(self.store.domid(name))
        return {}

    def shut_down(self, name: str, reason: int) -> Answer:
        """Shut a guest down as if it had said so itself."""
        self.xen.shut_down(self.store.domid(name), reason)
        return {}

    def put_to_sleep(self, name: str) -> Answer:
        """Put a guest into ACPI S3."""
        self.xen.put_to_sleep(self.store.domid(name))
        return {}

    def attach_debugger(self, name: str) -> Answer:
        """Have Xen believe that a guest is being debugged."""
        self.xen.attach_debugger(self.store.domid(name))
        return {}

    def keep(self, names: list[str]) -> Answer:
        """Destroy every domain but those of these names, and pause those."""
        for domain in self.xen.domains():
            if domain.domid and self.store.read(f"/local/domain/{domain.domid}/name") not in names:
                subprocess.run(["xl", "destroy", str(domain.domid)], stderr=subprocess.DEVNULL)
            elif domain.domid and not domain.paused:
                self.xen.pause(domain.domid)
        return {}

    def fault(self, spec: dict[str, Any]) -> Answer:
        """Do one fault to an operation, and say what came of it."""
        from tests.xen.faults.dom0.fault import try_fault

        return {"seen": try_fault(self.xen, self.store, self.consoles, spec)}


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def main() -> None:
    agent = Agent()
    print(json.dumps({}), flush=True)  # it is there
    for line in sys.stdin:
        wanted = json.loads(line)
        do: Callable[..., Answer] = getattr(agent, wanted.pop("do"))
        try:
            answer = do(**wanted)
        except Nothing as nothing:
            answer = {"nothing": str(nothing)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
