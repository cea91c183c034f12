"""Which lab the tests use, and the link to the agent in its dom0: one connection, made anew when the lab is."""

import importlib.util
import io
import json
import marshal
import os
import select
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from pyxl.errors import LabLost
from pyxl.lab.host import PYXL
from pyxl.lab.instance import Lab
from pyxl.lab.recipe import DEFAULT_SUITE, suite

ROOT = Path(__file__).parents[2]
#: The Debian release of dom0, and the lab of that release.
SUITE = os.environ.get("PYXL_TEST_SUITE") or DEFAULT_SUITE
NAME = os.environ.get("PYXL_TEST_LAB") or ("test" if SUITE == DEFAULT_SUITE else f"test-{SUITE}")
#: Where its Xen has its programs, in dom0.
XEN = f"/usr/lib/xen-{suite(SUITE).xen}"
#: What the agent is made of, and where it lies in dom0.
PACKAGES = ("tests", "tests/xen", "tests/xen/agent", "tests/xen/faults", "tests/xen/faults/dom0")
ARCHIVE = "/run/pyxl-tests.zip"
PYTHON = f"PYTHONPATH={PYXL}:{ARCHIVE} python3"
#: Beyond what a command may take: within this dom0 has to answer.
GRACE_SECONDS = 120


class Nothing(Exception):
    """A guest did not say what it was asked for, or is not there."""


class Link:
    """Asks the agent in the lab's dom0; starts it first where there is none."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._emulator: int | None = None
        self._agent: subprocess.Popen[bytes] | None = None

    def ask(self, do: str, seconds: float = 60, /, **arguments: Any) -> dict[str, Any]:
        """Have the agent do something, which may take so many seconds.

        :raise Nothing: a guest did not answer.
        :raise LabLost: the emulator died, or dom0 does not answer.
        :raise AssertionError: it could not be done.
        """
        if self._agent is None or self._emulator != self._lab.machine.pid():
            self._start()
        answer = self._exchange({"do": do, **arguments}, seconds)
        if "nothing" in answer:
            raise Nothing(answer["nothing"])
        assert "error" not in answer, answer["error"]
        return answer

    def close(self) -> None:
        """End the agent."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()
            self._agent = None

    def _start(self) -> None:
        self.close()
        self._emulator = self._lab.machine.pid()
        packed = archive(self._lab.suite.python)
        line = f"head -c {len(packed)} > {ARCHIVE}; cd /root; {PYTHON} -S -m tests.xen.agent 2>&1"
        host = self._lab.host
        host.wait(GRACE_SECONDS)
        pipe = subprocess.PIPE
        argv = [*host.ssh("-T"), "--", line]
        self._agent = subprocess.Popen(argv, cwd=self._lab.directory, stdin=pipe, stdout=pipe)
        assert self._agent.stdin is not None
        self._agent.stdin.write(packed)
        self._exchange(None, 0)

    def _exchange(self, wanted: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
        """Send a request, where there is one, and return the answer."""
        agent = self._agent
        assert agent is not None and agent.stdin is not None and agent.stdout is not None
        answer = b""
        try:
            if wanted is not None:
                agent.stdin.write(json.dumps(wanted).encode() + b"\n")
            agent.stdin.flush()
            if select.select([agent.stdout], [], [], seconds + GRACE_SECONDS)[0]:
                answer = agent.stdout.readline()
        except BrokenPipeError:
            pass
        if answer.startswith(b"{"):
            return dict(json.loads(answer))
        said = answer + (agent.stdout.read() if answer else b"")
        self.close()
        if not answer or not self._lab.running:
            raise LabLost(f"dom0 did not answer to {wanted}")
        raise AssertionError(said.decode(errors="replace"))


def archive(python: tuple[int, int]) -> bytes:
    """Return the agent as a zip of modules, compiled where ``python``, dom0's, is also ours."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for package in PACKAGES:
            for path in sorted((ROOT / package).glob("*.py")):
                name = str(path.relative_to(ROOT))
                if path.parent.name in ("agent", "dom0") or path.name == "__init__.py":
                    packed.writestr(name, path.read_bytes())
                    if python == sys.version_info[:2]:
                        packed.writestr(f"{name}c", _compiled(path, name))
    return data.getvalue()


def _compiled(path: Path, name: str) -> bytes:
    """Return a .pyc that nobody compares with its source."""
    code = marshal.dumps(compile(path.read_bytes(), f"{ARCHIVE}/{name}", "exec", dont_inherit=True))
    return importlib.util.MAGIC_NUMBER + struct.pack("<Iq", 1, 0) + code
