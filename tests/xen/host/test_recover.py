"""A toolstack dies on real Xen, and `pyxl recover` puts right what it leaves; faults/ has what the monitor heals."""

from tests.xen.conftest import PLACE, Dom0
from tests.xen.link import XEN

FILE = f"{PLACE}/checkpoint"
#: Wait until tick is suspended.
SUSPENDED = "for i in $(seq 200); do xl list tick | grep -q -- '--s' && break; sleep 0.1; done; "


def is_running(dom0: Dom0) -> bool:
    return dom0.run("xl list tick | grep -q -- '--s'", check=False).status != 0


def test_a_killed_xl_save_is_found_and_its_guest_resumed(dom0: Dom0) -> None:
    before = dom0.wake("tick")
    domid = dom0.domid("tick")
    dom0.run(f"xl save tick {FILE} > /dev/null 2>&1 & p=$!; {SUSPENDED} kill -9 $p")
    assert not is_running(dom0)
    said = dom0.pyxl("recover --dry-run", check=False)
    assert said.status == 1
    assert f'domain {domid} "tick" is suspended, and nobody is saving it: resume it' in said.stdout
    assert not is_running(dom0)
    assert "guest resumed" in dom0.pyxl("recover").stdout
    after = dom0.tick("tick")
    assert after.hash == before.hash
    assert after.counter > before.counter
    assert dom0.pyxl("recover").stdout == "nothing to recover\n"
    assert dom0.left_behind() == []


def test_a_save_of_xl_that_works_is_left_alone(dom0: Dom0) -> None:
    dom0.wake("tick")
    dom0.run(f"xl save tick {FILE} > /dev/null 2>&1 & echo $! > /root/pid; {SUSPENDED} kill -STOP $(cat /root/pid)")
    said = dom0.pyxl("recover", check=False).stdout
    assert not is_running(dom0)
    assert "resumed" not in said
    dom0.run("kill -CONT $(cat /root/pid); for i in $(seq 100); do xl domid tick || exit 0; sleep 0.2; done; exit 1")
    dom0.pyxl(f"restore {FILE}")
    dom0.tick("tick")


def test_what_a_killed_xl_restore_has_built_is_destroyed(dom0: Dom0) -> None:
    dom0.wake("tick")
    dom0.run(f"xl save tick {FILE} > /dev/null 2>&1")
    # Before libxl's first entries in xenstore it could be anybody's.
    count = "xenstore-ls -f /libxl | grep -c '/type = \"hvm\"'"
    dom0.run(
        f"n=$({count}); xl restore {FILE} > /dev/null 2>&1 & p=$!; "
        f"for i in $(seq 200); do [ $({count}) -gt $n ] && break; sleep 0.05; done; kill -9 $p"
    )
    said = dom0.pyxl("recover").stdout
    assert "is half built, and nobody is building it: destroy it" in said
    assert dom0.domains() == ["big", "disk", "plain"]
    assert dom0.pyxl("recover").stdout == "nothing to recover\n"
    dom0.pyxl(f"restore {FILE}")
    dom0.tick("tick")


def test_stale_state_and_an_orphaned_helper(dom0: Dom0) -> None:
    domid = dom0.domid("big")
    dom0.run(f"touch /var/lib/xen/qemu-save.{domid} /var/lib/xen/qemu-resume.999")
    # Its toolstack is gone, and it waits for an answer that never comes.
    dom0.run(
        f"mkfifo /root/mute; ({XEN}/bin/libxl-save-helper --save-domain 1 -1 {domid} 0 136 0 "
        "0<>/root/mute > /dev/null 2>&1 &)"
    )
    said = dom0.pyxl("recover", check=False).stdout
    assert f"of domain {domid} has lost its toolstack: end it" in said
    assert "/var/lib/xen/qemu-resume.999 is nobody's: remove it" in said
    dom0.pyxl("recover")
    assert dom0.run("pgrep -f '[l]ibxl-save-helper' || true").stdout == ""
    assert dom0.left_behind() == []
