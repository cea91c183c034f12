"""The lab as the tests see it: dom0 with this tree's pyxl and the snapshot's guests, paused, before every test."""

import base64
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyxl.errors import LabError, LabLost
from pyxl.lab.instance import Lab
from pyxl.lab.recipe import SAVED_GUEST, SAVED_GUEST_FILE
from pyxl.lab.steps import Steps
from tests.xen.link import NAME, ROOT, SUITE, Link, Nothing

#: Where tests keep checkpoints in dom0.
PLACE = "/var/tmp/checkpoints"
#: A guest boots in less than a minute, in a machine emulated within an emulated machine.
BOOT_SECONDS = 300
GUESTS = ("big", "disk", "plain", "tick")
#: Has a guest power off when it is asked to: its kernel starts /sbin/poweroff, which the lab's guests do not have.
POWEROFF = "mkdir -p /sbin; printf '#!/bin/sh\\n/bin/poweroff -f\\n' > /sbin/poweroff; chmod 755 /sbin/poweroff; ls /sbin/poweroff"
LEFT_BEHIND = (
    "cd /var/lib/xen; ls . pyxl 2>/dev/null | grep -v -e : -e ^dump -e ^pyxl -e ^userdata-d -e ^xenpaging -e ^xenstore || true"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in dom0 said and how it ended."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A guest's answer to a tick: how many it has answered before, and the hash of its memory at that moment."""

    counter: int
    hash: str


class Dom0:
    """dom0 of the running lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.link = Link(lab)
        self.clean = False

    def start_over(self) -> None:
        """Go back to the snapshot: all guests there, paused, and nothing else."""
        self.clean = True
        self.link.close()
        self.lab.reset()
        self.lab.push(ROOT)
        self.run(f"mkdir -p {PLACE}; xl dmesg -c > /dev/null")

    def tidy(self) -> None:
        """Take away what the last test left, or go back to the snapshot if it failed.

        A new emulator starts slowly: it has translated nothing yet. Stock xl's save -c leaves qemu's state behind,
        which is not to be taken for pyxl's; a monitor of pyxl's would start a guest anew that is taken away.
        """
        if not self.clean:
            self.start_over()
            return
        self.run(
            "pkill -9 -f '[m] pyxl (create|restore|save)|[/]pyxl-monitor '; "
            f"rm -rf {PLACE}/* {PLACE}/.[!.]* /var/log/xen/pyxl-*.log /var/lib/xen/qemu-save.* /var/lib/xen/pyxl/*; xl dmesg -c > /dev/null"
        )
        self.link.ask("keep", names=GUESTS)
        self.bring_back()

    def bring_back(self) -> None:
        """Have every guest of the snapshot: one from its checkpoint, where only that is missing, or all anew."""
        missing = set(GUESTS) - set(self.domains())
        if missing == {SAVED_GUEST}:
            self.run(f"xl restore -p {SAVED_GUEST_FILE} > /dev/null 2>&1")
        elif missing:
            self.start_over()

    def run(self, command: str, *, check: bool = True, timeout: float = 300) -> Result:
        answer = self.link.ask("run", timeout, command=command, seconds=timeout)
        result = Result(answer["status"], answer["stdout"], answer["stderr"])
        if check:
            assert result.status == 0, f"{command}: status {result.status}\n{result.stdout}\n{result.stderr}"
        return result

    def refused_each(self, lanes: list[list[str]]) -> dict[str, str]:
        """Run pyxl with each argument line, which it has to refuse; see refused.  Returns what it said to each.

        The lines of a lane run one after the other, the lanes side by side: dom0 has two processors.
        """
        seconds = 60
        commands = [[f"pyxl {arguments}" for arguments in lane] for lane in lanes]
        answers = self.link.ask("lanes", seconds * max(map(len, lanes)), lanes=commands, seconds=seconds)["results"]
        return {
            arguments: refusal(arguments, Result(**answer))
            for lane, found in zip(lanes, answers, strict=True)
            for arguments, answer in zip(lane, found, strict=True)
        }

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, with its directory."""
        self.link.ask("put", path=path, data=base64.b64encode(data).decode(), mode=mode)

    def pyxl(self, arguments: str, *, check: bool = True, timeout: float = 300) -> Result:
        return self.run(f"pyxl {arguments}", check=check, timeout=timeout)

    def refused(self, arguments: str) -> str:
        """Run pyxl, which has to refuse: non-zero, no traceback, one line and perhaps a hint; returns what it said.

        What a checkpoint names of its host is said before, and is no reason.
        """
        return refusal(f"pyxl {arguments}", self.pyxl(arguments, check=False))

    def wake(self, name: str) -> Tick:
        """Unpause a guest of the snapshot; a guest that does not come to life before we touched it is a lost lab."""
        if self.domid(name) is None:
            self.bring_back()
        self.link.ask("unpause", name=name)
        return self._tick(name, 120, f"guest {name} did not survive the snapshot")

    def tick(self, name: str, timeout: int = 150) -> Tick:
        """Return a tick that the guest is asked for; that there is none is a failure of the test.

        :raise LabLost: the emulator disturbed the guest.
        """
        try:
            return parse_tick(self.link.ask("tick", timeout, name=name, seconds=timeout)["line"])
        except Nothing as nothing:
            self.blame_emulator()
            raise AssertionError(f"{nothing}\n{self.log(name)}{self.processors(name)}") from nothing

    def processors(self, name: str) -> str:
        """Return what a guest's processors are at, seen twice: whether it waits, spins or was never let run."""
        look = f"xl vcpu-list {name}; for n in 0 1; do /usr/lib/xen-*/bin/xenctx {self.domid(name)} $n | head -8; done"
        return self.run(f"{look}; sleep 2; {look}", check=False).stdout

    def blame_emulator(self) -> None:
        """Look whether the emulator disturbed a guest since the test began, which takes away Xen's log.

        :raise LabLost: Xen saw a triple fault; see pyxl/lab/README.md.
        """
        if saw := self.run("xl dmesg -c | grep -i -A 16 'triple fault'", check=False).stdout:
            raise LabLost(f"the emulator disturbed a guest: {saw.strip()}")

    def first_tick(self, name: str) -> Tick:
        """Return a tick of a guest that boots, or is about to: its domain is there before its console.

        A kernel that the emulation makes panic on its way up is started again by the guest's monitor.

        :raise LabLost: it does not come up.
        """
        return self._tick(name, BOOT_SECONDS, f"guest {name} never came up")

    def _tick(self, name: str, seconds: int, otherwise: str) -> Tick:
        try:
            return parse_tick(self.link.ask("tick", seconds, name=name, seconds=seconds)["line"])
        except Nothing as nothing:
            raise LabLost(f"{otherwise}: {nothing}") from nothing

    def ask(self, name: str, pattern: str, words: str) -> str:
        """Give a guest a command line and return the first line that matches."""
        try:
            return str(self.link.ask("ask", 120, name=name, pattern=pattern, words=words, seconds=120)["line"])
        except Nothing as nothing:
            raise AssertionError(str(nothing)) from nothing

    def send(self, name: str, words: str) -> None:
        self.link.ask("send", name=name, words=words)

    def domid(self, name: str) -> int | None:
        """Return a domain's domid by xenstore, None when there is none."""
        found: int | None = self.link.ask("domid", name=name)["domid"]
        return found

    def uuid(self, name: str) -> str:
        return str(self.link.ask("uuid", name=name)["uuid"])

    def wait_for_domid(self, name: str, other_than: int, seconds: int = 120) -> int:
        """Wait until a domain of that name has another domid than before."""
        line = f"for i in $(seq {seconds * 4}); do n=$(xl domid {name} 2>/dev/null) && [ $n != {other_than} ] && break; "
        result = self.run(line + "n=; sleep 0.25; done; echo $n")
        assert result.stdout.strip(), f"{name} got no new domid within {seconds} s; {self.log(name)}"
        return int(result.stdout)

    def wait_until_gone(self, name: str, seconds: int = 120) -> None:
        line = f"for i in $(seq {seconds * 4}); do xl domid {name} >/dev/null 2>&1 || exit 0; sleep 0.25; done; exit 1"
        assert self.run(line, check=False).status == 0, f"{name} is still there; {self.log(name)}"

    def wait_for_log(self, name: str, text: str) -> None:
        """Wait until pyxl's log of a domain says ``text``."""
        grep = f"grep -qF -- {shlex.quote(text)} /var/log/xen/pyxl-{name}.log"
        found = self.run(f"for i in $(seq 240); do {grep} && exit 0; sleep 0.5; done; exit 1", check=False)
        assert found.status == 0, f"no {text!r} in: {self.log(name)}"

    def log(self, name: str) -> str:
        return self.run(f"tail -20 /var/log/xen/pyxl-{name}.log", check=False).stdout

    def domains(self) -> list[str]:
        """Return the names of all domains but dom0, sorted."""
        return list(self.link.ask("domains")["names"])

    def left_behind(self) -> list[str]:
        """Return what lies in /var/lib/xen and the checkpoints' place that should not."""
        line = f"{LEFT_BEHIND}; cd {PLACE}; find . -name '.*.new'; pgrep -fa '[p]yxl-save-helper' || true"
        return [found for found in self.run(line).stdout.splitlines() if found]


def refusal(command: str, result: Result) -> str:
    """Return what a command said that was to refuse."""
    said = result.stderr.strip()
    assert result.status != 0, f"{command} went through: {result.stdout}"
    assert "Traceback" not in said
    lines = said.splitlines()
    reasons = [line for line in lines if not line.startswith((" ", "pyxl: the checkpoint ")) and not line.endswith("…")]
    assert len(reasons) == 1, said
    return said


def parse_tick(line: str) -> Tick:
    match = re.search(r"tick (\d+) hash ([0-9a-f]{32})", line)
    assert match, line
    return Tick(int(match[1]), match[2])


class Building:
    """The lab on its way up in a process of its own, while the tests that need none run on the other processor."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()
        argv = [sys.executable, "-m", "pyxl", "lab", "up", "--name", NAME, "--suite", SUITE]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said)

    def wait(self) -> None:
        """Wait until it is up, and show how it came up.

        :raise LabError: it did not.
        """
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        print(said)
        if status:
            raise LabError(f"the tests have no lab: {said.strip().splitlines()[-1]}")

    def end(self) -> None:
        """Call off what is still under way."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


BUILDING = pytest.StashKey[Building]()


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """The lab of this test run, kept from everybody else until it ends."""
    pytestconfig.stash[BUILDING].wait()
    lab = Lab(NAME, suite=SUITE, steps=Steps())
    with lab.session("the tests"):
        lab.up()
        yield lab
        lab.down()


@pytest.fixture(scope="session")
def host_of_lab(lab: Lab) -> Iterator[Dom0]:
    dom0 = Dom0(lab)
    yield dom0
    dom0.link.close()


@pytest.fixture
def dom0(host_of_lab: Dom0) -> Dom0:
    """dom0 with the snapshot's guests, paused, and nothing else."""
    host_of_lab.tidy()
    return host_of_lab


@pytest.fixture(scope="module")
def shared_dom0(host_of_lab: Dom0) -> Dom0:
    """The same for a whole module, whose tests build nothing that lasts."""
    host_of_lab.tidy()
    return host_of_lab


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a lab test once more, from the snapshot, when the lab was lost under it; a second loss is an error.

    A guest that the emulator disturbed shuts down whenever it likes, so any failure may come of it.
    """
    host = pyfuncitem.funcargs.get("host_of_lab")
    if not isinstance(host, Dom0):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    host.clean = False
    try:
        try:
            pyfuncitem.obj(**arguments)
        except AssertionError:
            host.blame_emulator()
            raise
    except LabLost as lost:
        pyfuncitem.warn(pytest.PytestWarning(f"lab lost, once more: {lost}"))
        host.start_over()
        host.clean = False
        pyfuncitem.obj(**arguments)
    host.clean = True
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this room; they come last, and first of them what tells whether there is a lab."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.lab)
    items.sort(key=lambda item: (item.path.is_relative_to(here), item.path.parent != here))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the lab come up beside the tests that need none."""
    wanted = any(item.path.is_relative_to(Path(__file__).parent) for item in session.items)
    if wanted and not session.config.option.collectonly:
        session.config.stash[BUILDING] = Building()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if BUILDING in session.config.stash:
        session.config.stash[BUILDING].end()
