"""The everyday commands beside stock xl: the same columns and statuses, and guests that do what they are asked for."""

import json
import re
from pathlib import Path

from pyxl.lab.recipe import SAVED_GUEST_FILE
from tests.xen.conftest import POWEROFF, Dom0

TOOLS = ("xl", "pyxl")
#: What xl and pyxl have to print alike, and with the same status.
ALIKE = (
    "list", "list -v -c -n", "list nosuch", "vcpu-list", "vcpu-list disk tick", "uptime", "uptime -s disk", "info -n",
    "info xen_m", "dmesg", "rename disk tick", "trigger nosuch nmi",
)  # fmt: skip
#: What changes by itself between two looks: dom0's state, CPU and cpu seconds, and what time it is.
CHANGES = (
    r"s/^(Domain-0 .*)[r-][b-]---- +[0-9.]+/\1/; s/^(Domain-0 +[0-9]+ +[0-9]+) +[0-9]+ +[r-][b-]- +[0-9.]+/\1/; "
    r"s/[0-9]+:[0-9:]+/TIME/g"
)
CONSOLE = """\
import os, pty, re, select, sys, time
pid, fd = pty.fork()
if not pid:
    os.execvp("pyxl", ["pyxl", "console", *sys.argv[1:]])
said, asked, end = b"", 0.0, time.monotonic() + 60
while not re.search(rb" hash [0-9a-f]{32} ", said) and time.monotonic() < end:
    if time.monotonic() > asked + 5:
        os.write(fd, b"\\ntick\\n")
        asked = time.monotonic()
    if select.select([fd], [], [], 1)[0]:
        said += os.read(fd, 1 << 16)
os.write(fd, b"\\x1d")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode())
"""


def test_what_is_printed_is_xl_s(host: Dom0) -> None:
    """Guests are paused, so that nothing of theirs changes between two looks."""
    lines = []
    for number, arguments in enumerate(ALIKE):
        each = [f"{tool} {arguments} > /tmp/{tool}.{number} 2>/dev/null; echo $? >> /tmp/{tool}.{number}" for tool in TOOLS]
        alike = " ".join(f"<(sed -E '{CHANGES}' /tmp/{tool}.{number})" for tool in TOOLS)
        lines.append(f"{'; '.join(each)}; diff {alike}")
    answers = host.link.ask("lanes", 120, lanes=[lines[::2], lines[1::2]], seconds=60)["results"]
    found = [answer for pair in zip(*answers, strict=True) for answer in pair]
    assert {arguments: answer for arguments, answer in zip(ALIKE, found, strict=True) if answer["status"]} == {}


def test_configs_are_xl_s(host: Dom0) -> None:
    xl, pyxl = (json.loads(host.run(f"{tool} list -l").stdout) for tool in TOOLS)
    assert [domain["domid"] for domain in xl] == [domain["domid"] for domain in pyxl]
    assert xl == pyxl
    objects = json.loads(host.pyxl("list --json disk").stdout)
    assert [(each["name"], each["type"], each["vcpus"]) for each in objects] == [("disk", "hvm", 2)]


def test_every_command_of_xl_is_in_the_table(host: Dom0) -> None:
    text = (Path(__file__).parents[3] / "pyxl/cli/README.md").read_text()
    listed = set(re.findall(r"`([a-z][a-z0-9-]*)`", text.partition("## xl's commands")[2].partition("\n## ")[0]))
    commands = re.findall(r"^ ([a-z][a-z0-9-]+)", host.run("xl help 2>&1").stdout, re.MULTILINE)
    assert len(commands) > 50
    assert set(commands) - listed == set()


def test_a_guest_without_pv_drivers_is_asked_by_its_buttons_alone(host: Dom0) -> None:
    said = "PV control interface not available: external graceful shutdown not possible"
    host.run("xl unpause plain")
    xl = host.run("xl shutdown plain", check=False)
    assert (xl.status, said in xl.stderr) == (1, True)
    assert said in host.refused("shutdown plain")
    assert "sending ACPI power button event" in host.pyxl("shutdown -F plain").stderr
    assert "no PV drivers" in host.refused("sysrq plain h")
    assert "domain 0 is this host's control domain" in host.refused("trigger 0 nmi")
    host.run("xl pause plain")


def test_a_guest_s_everyday_life(dom0: Dom0) -> None:
    """Under pyxl's monitor: another name, its console, a SysRq, an NMI, and a reboot that keeps the name."""
    dom0.run(f"xl destroy tick; pyxl restore {SAVED_GUEST_FILE} 2>&1")
    dom0.tick("tick")
    assert 'is called "disk" already' in dom0.refused("rename tick disk")
    dom0.pyxl("rename tick tock")
    domid = dom0.domid("tock")
    assert domid is not None
    dom0.put("/root/console.py", CONSOLE.encode())
    said = dom0.run("python3 /root/console.py tock").stdout
    assert re.search(r"^0 .*tick \d+ hash [0-9a-f]{32} ", said, re.DOTALL), said
    dom0.pyxl("sysrq tock h")
    dom0.ask("tock", r"^sh .*sysrq: HELP", "sh dmesg | grep 'sysrq: ' | tail -1")
    dom0.pyxl("trigger tock nmi")
    dom0.ask("tock", r"^sh .*NMI received", "sh dmesg | grep NMI | tail -1")
    said = dom0.pyxl("reboot -w tock").stderr
    assert f'domain {domid} "tock" has shut down: reboot' in said
    new = dom0.wait_for_domid("tock", domid)
    dom0.wait_for_log("tock", f'domain {new} "tock" takes the place of {domid}')
    assert f'domain {domid} is called "tock" from now on' in dom0.log("tick")
    dom0.pyxl("destroy tock")


def test_a_guest_powers_off_when_it_is_asked(dom0: Dom0) -> None:
    dom0.run(f"xl destroy tick; pyxl restore {SAVED_GUEST_FILE} 2>&1")
    dom0.ask("tick", "^sh /sbin/poweroff", f"sh {POWEROFF}")
    domid = dom0.domid("tick")
    assert dom0.pyxl("shutdown -w tick").stderr.splitlines() == [
        f'asking domain {domid} "tick" for a shutdown', f'waiting for domain {domid} "tick"',
        f'domain {domid} "tick" has shut down: poweroff',
    ]  # fmt: skip
    dom0.wait_until_gone("tick")
    dom0.wait_for_log("tick", "poweroff, on_poweroff=destroy")
