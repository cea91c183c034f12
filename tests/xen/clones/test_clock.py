"""The clock of a guest that comes back, and the script in it that sets it."""

import base64
import json

from tests.xen.conftest import PLACE, Dom0
from tests.xen.link import ROOT

FILE = f"{PLACE}/plain.checkpoint"
SCRIPT = ROOT / "conf-examples/clock/set-clock.sh"
#: Characters that a guest's serial port takes at once for certain.
PIECE = 400


def install(dom0: Dom0, name: str) -> None:
    """Have the script run in a guest, which has no xenstore tools, without its comments."""
    lines = SCRIPT.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.strip().startswith("#"))
    code = base64.b64encode(text.encode()).decode()
    for number, start in enumerate(range(0, len(code), PIECE)):
        target = f"> /run/{number}.part"
        dom0.ask(name, "^sh taken", f"sh echo {code[start : start + PIECE]} {target}; echo taken")
    parts = " ".join(f"/run/{number}.part" for number in range(-(-len(code) // PIECE)))
    run = f"cat {parts} | tr -d '\\n' | base64 -d > /run/set-clock; EVERY=1 sh /run/set-clock < /dev/null > /dev/null 2>&1 &"
    dom0.ask(name, "^sh runs", f"sh [ -s /run/set-clock ] || {{ {run} }}; echo runs")


def apart(dom0: Dom0, name: str) -> int:
    """Return how many seconds a guest's clock is behind dom0's."""
    said = dom0.ask(name, r"^sh \d+$", "sh date +%s").split()[1]
    return int(dom0.run("date +%s").stdout) - int(said)


def test_a_clock_that_has_stood_still_is_told_and_set(dom0: Dom0) -> None:
    dom0.wake("plain")
    dom0.pyxl(f"save plain {FILE}")
    dom0.run("sleep 5")
    said = json.loads(dom0.pyxl(f"restore --json {FILE}").stdout)
    assert 5 <= said["away"] < 120 and said["clock"] == "own"
    dom0.tick("plain")
    assert apart(dom0, "plain") >= said["away"]
    install(dom0, "plain")
    dom0.run("sleep 3")
    assert abs(apart(dom0, "plain")) <= 3
    assert dom0.run(f"xenstore-read /local/domain/{said['domid']}/data/restored-at").stdout.strip().isdigit()


def test_the_script_is_told_by_xenstore(dom0: Dom0) -> None:
    """In dom0, which has the tools; it is to have hwclock called, and nothing else is."""
    dom0.put("/root/bin/hwclock", b"#!/bin/sh\necho hwclock $* >> /root/called\n", 0o755)
    dom0.put("/root/set-clock.sh", SCRIPT.read_bytes(), 0o755)
    dom0.run(
        "setsid timeout 30 env PATH=/root/bin:$PATH sh /root/set-clock.sh < /dev/null > /root/set-clock.log 2>&1 & sleep 2; "
        "test ! -e /root/called; xenstore-write data/restored-at 1795533611; "
        "for i in $(seq 50); do [ -e /root/called ] && break; sleep 0.2; done; xenstore-rm data/restored-at; cat /root/called"
    )
    assert "the clock was set" in dom0.run("cat /root/set-clock.log").stdout
    dom0.run("pkill -f [s]et-clock.sh; rm -r /root/called /root/bin /root/set-clock.log", check=False)
