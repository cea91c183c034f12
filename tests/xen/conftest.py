"""The lab as the tests see it: dom0 back at its snapshot before every test, with this tree's pyxl in it."""

import os
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyxl.errors import LabLost
from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps

ROOT = Path(__file__).parents[2]
NAME = os.environ.get("PYXL_TEST_LAB", "test")
#: Where tests keep checkpoints in dom0.
PLACE = "/var/tmp/checkpoints"
#: A guest boots in less than two minutes, in a machine emulated within an emulated machine.
BOOT_SECONDS = 300
GUESTS = ("big", "disk", "plain", "tick")
LEFT_BEHIND = "cd /var/lib/xen; ls . pyxl 2>/dev/null | grep -v -e : -e ^dump -e ^pyxl -e ^userdata-d -e ^xenpaging || true"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in dom0 said and how it ended."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of a guest's own clock: its counter, and the hash of its memory at that moment."""

    counter: int
    hash: str


class Dom0:
    """dom0 of the running lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.clean = False

    def start_over(self) -> None:
        """Go back to the snapshot: all guests there, paused, and nothing else."""
        self.clean = True
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
        self.run(
            "pkill -9 -f '[m] pyxl (create|restore)'; "
            f"rm -rf {PLACE}/* {PLACE}/.[!.]* /var/log/xen/pyxl-*.log /var/lib/xen/qemu-save.* /var/lib/xen/pyxl/*; xl dmesg -c > /dev/null; "
            f"xl list | awk 'NR > 2 && !/^({'|'.join(GUESTS)}) / {{print $2}}' | xargs -rn1 xl destroy; "
            "xl list | awk 'NR > 2 && $5 !~ /p/ {print $2}' | xargs -rn1 xl pause"
        )

    def run(self, command: str, *, check: bool = True, timeout: float = 300) -> Result:
        done = self.lab.exec(command, timeout=timeout)
        result = Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check:
            assert result.status == 0, f"{command}: status {result.status}\n{result.stdout}\n{result.stderr}"
        return result

    def pyxl(self, arguments: str, *, check: bool = True, timeout: float = 300) -> Result:
        return self.run(f"pyxl {arguments}", check=check, timeout=timeout)

    def refused(self, arguments: str) -> str:
        """Run pyxl, which has to refuse: non-zero, no traceback, one line and perhaps a hint; returns what it said.

        What a checkpoint names of its host is said before, and is no reason.
        """
        result = self.pyxl(arguments, check=False)
        said = result.stderr.strip()
        assert result.status != 0, f"pyxl {arguments} went through: {result.stdout}"
        assert "Traceback" not in said
        lines = said.splitlines()
        reasons = [line for line in lines if not line.startswith((" ", "pyxl: the checkpoint ")) and not line.endswith("…")]
        assert len(reasons) == 1, said
        return said

    def wake(self, name: str) -> Tick:
        """Unpause a guest of the snapshot; a guest that does not come to life before we touched it is a lost lab."""
        if self.domid(name) is None:
            self.start_over()
        self.run(f"xl unpause {name}")
        result = self.run(f"guestctl tick {name} --timeout 120", check=False)
        if result.status:
            raise LabLost(f"guest {name} did not survive the snapshot: {result.stderr}")
        return parse_tick(result.stdout)

    def tick(self, name: str, timeout: int = 150) -> Tick:
        """Return the guest's next tick; that there is none is a failure of the test.

        :raise LabLost: the emulator disturbed the guest: Xen saw a triple fault with its own registers in it.
        """
        result = self.run(f"guestctl tick {name} --timeout {timeout}", check=False)
        if result.status and self.run("xl dmesg | grep -ci 'triple fault' || true").stdout.strip() != "0":
            raise LabLost(f"guest {name} met a triple fault")
        assert result.status == 0, f"{result.stderr}{self.log(name)}"
        return parse_tick(result.stdout)

    def first_tick(self, name: str) -> Tick:
        """Return a tick of a guest that boots, or is about to: its domain is there before its console.

        A kernel that the emulation makes panic on its way up is started again by the guest's monitor.

        :raise LabLost: it does not come up.
        """
        end = time.monotonic() + BOOT_SECONDS
        while True:
            result = self.run(f"guestctl tick {name} --timeout {BOOT_SECONDS}", check=False, timeout=BOOT_SECONDS + 60)
            if result.status == 0:
                return parse_tick(result.stdout)
            if "console" not in result.stderr or time.monotonic() > end:
                raise LabLost(f"guest {name} never came up: {result.stderr}")
            self.run("sleep 2")

    def ask(self, name: str, pattern: str, words: str) -> str:
        """Give a guest a command line and return the first line that matches."""
        return self.run(f"guestctl ask {name} {shlex.quote(pattern)} {words} --timeout 120").stdout.strip()

    def send(self, name: str, words: str) -> None:
        self.run(f"guestctl send {name} {words}")

    def domid(self, name: str) -> int | None:
        """Return a domain's domid by stock xl, None when there is none."""
        result = self.run(f"xl domid {name}", check=False)
        return int(result.stdout) if result.status == 0 else None

    def uuid(self, name: str) -> str:
        return self.run(f"xl list -v {name} | tail -1 | grep -oE '[0-9a-f-]{{36}}'").stdout.strip()

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
        return sorted(line.split()[0] for line in self.run("xl list").stdout.splitlines()[2:])

    def left_behind(self) -> list[str]:
        """Return what lies in /var/lib/xen and the checkpoints' place that should not."""
        line = f"{LEFT_BEHIND}; cd {PLACE}; find . -name '.*.new'; pgrep -fa '[p]yxl-save-helper' || true"
        return [found for found in self.run(line).stdout.splitlines() if found]


def parse_tick(line: str) -> Tick:
    match = re.search(r"tick (\d+) hash ([0-9a-f]{32})", line)
    assert match, line
    return Tick(int(match[1]), match[2])


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this test run, kept from everybody else until it ends."""
    lab = Lab(NAME, steps=Steps())
    with lab.session("the tests"):
        lab.up()
        yield lab
        lab.down()


@pytest.fixture(scope="session")
def host_of_lab(lab: Lab) -> Dom0:
    return Dom0(lab)


@pytest.fixture
def dom0(host_of_lab: Dom0) -> Dom0:
    """dom0 with the snapshot's guests, paused, and nothing else."""
    host_of_lab.tidy()
    return host_of_lab


@pytest.fixture(scope="module")
def shared_dom0(host_of_lab: Dom0) -> Dom0:
    """The same for a whole module, whose tests build nothing that lasts."""
    host_of_lab.start_over()
    return host_of_lab


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a lab test once more, from the snapshot, when the lab was lost under it; a second loss is an error."""
    host = pyfuncitem.funcargs.get("host_of_lab")
    if not isinstance(host, Dom0):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    host.clean = False
    try:
        pyfuncitem.obj(**arguments)
    except LabLost as lost:
        pyfuncitem.warn(pytest.PytestWarning(f"lab lost, once more: {lost}"))
        host.start_over()
        host.clean = False
        pyfuncitem.obj(**arguments)
    host.clean = True
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.lab)
