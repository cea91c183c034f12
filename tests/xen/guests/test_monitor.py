"""The monitor on real Xen: a guest reboots, powers off or panics, after a restore and after a save -c."""

import pytest

from pyxl.lab.recipe import SAVED_GUEST_FILE
from pyxl.model import releases
from pyxl.model.domain import ShutdownReason
from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/checkpoint"


def under_our_monitor(dom0: Dom0, after: str) -> int:
    """Put the lab's guest under pyxl's monitor, and return its domid; a save gives one to a guest of xl's."""
    tool = "pyxl" if after == "restore" else "xl"
    dom0.run(f"xl destroy tick; {tool} restore {SAVED_GUEST_FILE} 2>&1")
    dom0.tick("tick")
    if after == "save -c":
        said = dom0.pyxl(f"save -c tick {FILE}").stderr
        if xl_stays(dom0):
            assert "nobody watched" not in said
            dom0.run("pkill -f '^/.*/xl restore '")
            said = dom0.pyxl(f"save -c tick {FILE}").stderr
        assert "pyxl does from now on" in said
        dom0.tick("tick")
    domid = dom0.domid("tick")
    assert domid is not None
    return domid


def xl_stays(dom0: Dom0) -> bool:
    """Tell whether xl's monitor of a guest goes on after a suspend."""
    return releases.parsed(dom0.lab.suite.xen) >= releases.XL_MONITOR_STAYS


@pytest.mark.parametrize("after", ["restore", pytest.param("save -c", marks=pytest.mark.soak)])
def test_reboot_gives_a_new_domain(dom0: Dom0, after: str) -> None:
    domid = under_our_monitor(dom0, after)
    uuid = dom0.uuid("tick")
    dom0.send("tick", "reboot")
    new = dom0.wait_for_domid("tick", domid)
    assert dom0.uuid("tick") == uuid
    dom0.wait_for_log("tick", f'domain {new} "tick" takes the place of {domid}')
    dom0.pyxl("destroy tick")
    dom0.run("for i in $(seq 40); do pgrep -f '[/]pyxl-monitor ' >/dev/null || exit 0; sleep 0.25; done; exit 1")


def test_power_off_destroys(dom0: Dom0) -> None:
    under_our_monitor(dom0, "save -c")
    own = dom0.run("awk '/^Private_Dirty/ { print $2 }' /proc/$(pgrep -of '[/]pyxl-monitor ')/smaps_rollup").stdout
    assert int(own) < 5120  # KiB: the monitors of 50 guests are to take less than 250 MiB
    dom0.send("tick", "poweroff")
    dom0.wait_until_gone("tick")
    dom0.wait_for_log("tick", "poweroff, on_poweroff=destroy")


@pytest.mark.soak
def test_panic_obeys_on_crash(dom0: Dom0) -> None:
    """With rename-restart the guest keeps its uuid, and its corpse gets another, as under xl."""
    dom0.run("xl destroy tick; (cat /etc/xen/lab/tick.cfg; echo 'on_crash = \"rename-restart\"') > /root/tick.cfg")
    dom0.pyxl(f"restore /root/tick.cfg {SAVED_GUEST_FILE}")
    domid, uuid = dom0.domid("tick"), dom0.uuid("tick")
    assert domid is not None
    dom0.send("tick", "panic")
    new = dom0.wait_for_domid("tick", domid)
    dom0.wait_for_log("tick", f'domain {new} "tick" takes the place of {domid}')
    dom0.wait_for_log("tick", f'domain {domid} "tick": crash, on_crash=rename-restart')
    corpse = f"tick-{dom0.run('date -u +%Y').stdout.strip()}"
    [name] = [name for name in dom0.domains() if name.startswith(corpse)]
    assert dom0.domid(name) == domid
    assert (dom0.uuid("tick"), dom0.uuid(name) == uuid) == (uuid, False)
    dom0.pyxl("destroy tick")
    dom0.pyxl(f"destroy {name}")
    assert dom0.run(f"ls /var/lib/xen | grep -E 'userdata-.\\.({domid}|{new})\\.'", check=False).stdout == ""


@pytest.mark.soak
def test_a_soft_reset_is_done_in_place(dom0: Dom0) -> None:
    """Xen is told what a guest says that boots another kernel by kexec."""
    domid = under_our_monitor(dom0, "restore")
    dom0.link.ask("shut_down", name="tick", reason=ShutdownReason.SOFT_RESET.value)
    dom0.wait_for_log("tick", f'domain {domid} "tick" goes on after a soft reset')
    assert dom0.run(f"xl list {domid} | tail -1 | grep -c -e '-s-'", check=False).stdout == "0\n"
    dom0.pyxl("destroy tick")


@pytest.mark.parametrize("option", ["-e", "-F"])
def test_no_monitor_and_one_in_the_foreground(dom0: Dom0, option: str) -> None:
    dom0.run("xl destroy tick")
    if option == "-e":
        dom0.pyxl(f"restore -e {SAVED_GUEST_FILE}")
        assert dom0.run("pgrep -fc '[/]pyxl-monitor ' || true").stdout.strip() == "0"
        return
    # In the foreground pyxl ends when its guest does.
    dom0.run(f"(pyxl restore -F {SAVED_GUEST_FILE}; echo ended) > /root/out 2>&1 & sleep 0.1")
    dom0.run("for i in $(seq 120); do grep -q restored /root/out && exit 0; sleep 0.25; done; cat /root/out; exit 1")
    dom0.tick("tick")
    dom0.send("tick", "poweroff")
    dom0.wait_until_gone("tick")
    dom0.run("for i in $(seq 40); do grep -q ended /root/out && exit 0; sleep 0.25; done; cat /root/out; exit 1")
