"""The examples of the manual, each run once in dom0, in an order that works; web1 is the lab's guest tick by that name."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from pyxl.cli.app import pyxl
from pyxl.cli.manual.commands import commands, help_of
from pyxl.cli.manual.markdown import ROOT
from tests.xen.conftest import Dom0

CONFIG = "/etc/xen/web1.cfg"
TEXTS = ROOT / "pyxl/cli/manual/texts"


class Step(NamedTuple):
    """An example, what has to be done in dom0 before it, the statuses it may have, and what it prints then.

    ``often`` is of those that `make test` runs, in order by themselves; `make soak` runs all.
    """

    example: str
    said: str = ""
    before: str = ""
    statuses: tuple[int, ...] = (0,)
    often: bool = False


#: Every example of the manual, in the order of this test; one that is not here fails it.
STEPS = [
    Step("pyxl create /etc/xen/web1.cfg", often=True),
    Step("pyxl config check /etc/xen/web1.cfg", "clean", often=True),
    Step("pyxl config show /etc/xen/web1.cfg", 'name = "web1"'),
    Step("pyxl config show web1", 'name = "web1"'),
    Step("pyxl config diff /etc/xen/web1.cfg web1", statuses=(0, 1)),  # libxl has filled in what the file leaves open
    Step("pyxl list", "Domain-0"),
    Step("pyxl list -v web1", "web1", often=True),
    Step("pyxl uptime web1", "web1"),
    Step("pyxl vcpu-list web1", "web1"),
    Step("pyxl info free_memory"),
    Step("pyxl dmesg", "Xen"),
    Step("pyxl rename web1 web2"),
    Step("pyxl domid web1", before="pyxl rename web2 web1"),
    Step("pyxl domname 0", "Domain-0"),
    Step("pyxl pause web1"),
    Step("pyxl unpause web1"),
    Step("pyxl save -c web1 /srv/web1.checkpoint", "running on", often=True),
    Step("pyxl checkpoint --keep last=6,hourly=24,daily=7 web1 /srv/checkpoints", "checkpoint 1 of", often=True),
    Step("pyxl import /srv/web1.checkpoint /srv/checkpoints", "2"),
    Step("pyxl checkpoint web1 /srv/checkpoints", "checkpoint 3 of"),
    Step("pyxl checkpoints /srv/checkpoints", "web1", often=True),
    Step("pyxl checkpoints /srv/checkpoints web1", "web1"),
    Step("pyxl checkpoints list /srv/checkpoints", "web1"),
    Step("pyxl verify /srv/web1.checkpoint", "whole", often=True),
    Step("pyxl verify /srv/web1.checkpoint /srv/checkpoints", "/srv/checkpoints@3: whole"),
    Step("pyxl diff /srv/checkpoints@1 /srv/checkpoints@latest", statuses=(1,)),  # it ran meanwhile
    Step("pyxl inspect /srv/web1.checkpoint", "web1", often=True),
    Step("pyxl extract --memory elf -o /srv/web1.core /srv/web1.checkpoint"),
    Step("pyxl export /srv/checkpoints@latest /srv/web1.checkpoint", often=True),
    Step("pyxl save web1 /srv/web1.checkpoint", "destroyed", often=True),
    Step("pyxl restore /srv/web1.checkpoint", "restored", often=True),
    Step("pyxl save --compress web1 /srv/web1.checkpoint", "compressed to"),
    Step("pyxl convert /srv/web1.old /srv/web1.checkpoint", "converted", "mv /srv/web1.checkpoint /srv/web1.old"),
    Step("pyxl restore /srv/checkpoints@1", "restored"),
    Step("pyxl recover --dry-run", "nothing to recover", often=True),
    Step("pyxl block-attach web1 format=raw,vdev=xvdf,access=rw,target=/srv/data.raw", before="truncate -s 16M /srv/data.raw"),
    Step("pyxl block-list web1", "vbd"),
    Step("pyxl block-detach web1 xvdf"),
    Step("pyxl cd-insert web1 hdc /srv/install.iso", before="truncate -s 1M /srv/install.iso"),
    Step("pyxl cd-eject web1 hdc"),
    Step("pyxl network-attach web1 bridge=xenbr0 mac=00:16:3e:01:02:03"),
    Step("pyxl network-list web1", "00:16:3e:01:02:03"),
    Step("pyxl network-detach web1 00:16:3e:01:02:03"),
    Step("pyxl mem-max web1 1024", "1024 MiB", often=True),
    Step("pyxl mem-set web1 512", "512 MiB"),
    Step("pyxl config-update web1 /etc/xen/web1.cfg vcpus=2"),
    Step("pyxl sysrq web1 s"),
    Step("pyxl trigger web1 power"),
    Step("pyxl destroy web1", often=True),
    Step("pyxl checkpoints prune --keep last=6,hourly=24,daily=7 /srv/checkpoints", "removed 0"),
    Step("pyxl checkpoints remove /srv/checkpoints@1 /srv/checkpoints@2", "removed 2"),
]
#: Examples that this test leaves out, by how they begin, and why.
ELSEWHERE = {
    "pyxl lab ": "it makes the host that this test runs on; the tests' own set-up runs it",
    "pyxl console ": "it lasts until somebody ends it",
    "pyxl vncviewer ": "dom0 has no display",
    "pyxl reboot ": "a boot takes 20 s: test_everyday.py has one",
    "pyxl shutdown ": "the same",
    "pyxl dump-core ": "it takes libxc minutes here: test_attached.py has it, in soak",
    "pyxl clone ": "it is for several guests: tests/xen/clones has it",
    "pyxl revert ": "the same",
    "pyxl save-all ": "it is for all guests of a host: test_sleep.py has it",
    "pyxl restore-all ": "the same",
}


def examples() -> set[str]:
    """Return the examples of all pages that are run here."""
    found = {line for command in (pyxl, *commands().values()) for line in help_of(command).example}
    for text in TEXTS.iterdir():
        found |= set(re.findall(r"^    (pyxl .*)$", Path(text).read_text(), re.MULTILINE))
    return {line for line in found if not line.startswith(tuple(ELSEWHERE))}


def completes(host: Dom0) -> None:
    """Names of domains complete, in dom0's own bash, and so do a guest's devices."""
    typed = "COMP_LINE='pyxl destroy we'; COMP_POINT=15; _pyxl pyxl; echo ${COMPREPLY[@]}"
    assert host.run(f"source <(_PYXL_COMPLETE=bash_source pyxl); {typed}").stdout == "web1\n"
    program = "import click; from pyxl.cli.completion import values; context = click.Context(click.Command('x')); "
    program += "context.params = {'domain': 'disk'}; "
    program += "print([each.value for kind in ('vbd', 'vif') for each in values.devices(kind)(context, '')])"
    assert host.run(f'PYTHONPATH=/opt/pyxl python3 -P -c "{program}"').stdout == "['hda', 'hdb', '0']\n"


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["often", "whole"])
def test_the_manual(host: Dom0, whole: bool) -> None:
    assert {step.example for step in STEPS} == examples()
    drive = "disk = [\"vdev=hdc, devtype=cdrom, access=r, target=/root/first.iso\"]"
    host.run(f"truncate -s 1M /root/first.iso; (sed 's/^name.*/name = \"web1\"/' /etc/xen/lab/tick.cfg; echo '{drive}') > {CONFIG}; rm -rf /srv/*; ls /srv")
    try:
        for step in STEPS if whole else [step for step in STEPS if step.often]:
            done = host.run(f"{step.before or ':'} && {step.example}", check=False)
            assert done.status in step.statuses and step.said in done.stdout, (step.example, done)
            if step.example.startswith("pyxl create"):
                completes(host)
                host.first_tick("web1")
    finally:
        host.run(f"xl destroy web1 2> /dev/null; rm -rf /srv/* {CONFIG}", check=False)
