"""The main job on real Xen: create, save and restore a guest, which goes on with its memory intact."""

import pytest

from tests.xen.conftest import PLACE, Dom0, Tick

FILE = f"{PLACE}/checkpoint"
CONFIG = """name = "web1"
type = "hvm"
memory = 128
kernel = "/var/lib/pyxl-lab/vmlinuz"
ramdisk = "/var/lib/pyxl-lab/initrd"
cmdline = "console=ttyS0 quiet mitigations=off nokaslr nohpet pci=noearly cryptomgr.notests panic=-1 xen_legacy_crash labdata=4"
serial = "pty"
tsc_mode = "native"
vga = "none"
vnc = 0
on_crash = "preserve"
"""
#: Makes /root/other.cfg: the guest tick by another name.
OTHER_CONFIG = "sed 's/name = \"tick\"/name = \"other\"/' /etc/xen/lab/tick.cfg > /root/other.cfg"


def went_on(before: Tick, after: Tick) -> None:
    """Check that it is the same guest, later: its counter grew, its memory did not change."""
    assert before.counter < after.counter < before.counter + 300
    assert before.hash == after.hash


def test_create_save_restore_reboot_and_panic(dom0: Dom0) -> None:
    """One guest's whole life under pyxl, from an xl.cfg."""
    dom0.put("/root/web1.cfg", CONFIG.encode())
    assert 'created' in dom0.pyxl("create /root/web1.cfg").stdout
    before = dom0.first_tick("web1")
    domid, uuid = dom0.domid("web1"), dom0.uuid("web1")

    said = dom0.pyxl(f"save web1 {FILE}").stdout
    assert f'saved {domid} "web1" to {FILE}' in said
    assert dom0.domid("web1") is None
    assert dom0.run(f"stat -c %a {FILE}").stdout.strip() == "600"

    dom0.pyxl(f"restore {FILE}")
    went_on(before, dom0.tick("web1"))
    restored = dom0.domid("web1")
    assert restored is not None and restored != domid
    assert dom0.uuid("web1") == uuid
    assert dom0.left_behind() == []

    dom0.pyxl(f"save -c web1 {FILE}")
    dom0.send("web1", "reboot")
    dom0.wait_for_domid("web1", restored)
    fresh = dom0.first_tick("web1")
    assert fresh.hash != before.hash
    rebooted = dom0.domid("web1")  # in the emulation it may have rebooted once more

    dom0.send("web1", "panic")
    dom0.run("for i in $(seq 120); do pyxl list web1 | grep -q -- '-sc-' && exit 0; sleep 0.5; done; exit 1")
    assert dom0.domid("web1") == rebooted
    dom0.wait_for_log("web1", "crash, on_crash=preserve")


@pytest.mark.parametrize("name", ["big", "plain"])
def test_every_kind_of_guest(dom0: Dom0, name: str) -> None:
    """One of 512 MiB and one without PV drivers; all other tests use 128 MiB and PV drivers."""
    before = dom0.wake(name)
    domid, uuid = dom0.domid(name), dom0.uuid(name)
    dom0.pyxl(f"save {name} {FILE}")
    assert dom0.domid(name) is None
    dom0.pyxl(f"restore {FILE}")
    went_on(before, dom0.tick(name))
    assert dom0.domid(name) != domid
    assert dom0.uuid(name) == uuid
    assert dom0.left_behind() == []


def test_guest_with_two_vcpus_two_disks_and_vnc(dom0: Dom0) -> None:
    """Files written before, between and after the saves are all there, on the raw and on the qcow2 disk."""
    before = dom0.wake("disk")
    for disk in "ab":
        dom0.ask("disk", f"wrote /mnt/{disk}/before", f"write /mnt/{disk}/before one")
    dom0.pyxl(f"save -c disk {FILE}.1")
    for disk in "ab":
        dom0.ask("disk", f"wrote /mnt/{disk}/between", f"write /mnt/{disk}/between two")
    dom0.pyxl(f"save disk {FILE}.2")
    dom0.pyxl(f"restore {FILE}.2")
    went_on(before, dom0.tick("disk"))
    for disk in "ab":
        dom0.ask("disk", f"wrote /mnt/{disk}/after", f"write /mnt/{disk}/after three")
        for when, text in (("before", "one"), ("between", "two"), ("after", "three")):
            assert dom0.ask("disk", f"^read /mnt/{disk}/{when}", f"read /mnt/{disk}/{when}").endswith(f" {text}")
    listed = dom0.pyxl("list disk").stdout.splitlines()[1].split()
    assert listed[3] == "2"
    vnc = dom0.run("xenstore-read /local/domain/$(xl domid disk)/console/vnc-port").stdout
    assert 5900 <= int(vnc) < 6000


@pytest.mark.soak
def test_save_c_three_times_then_the_last_file_restores(dom0: Dom0) -> None:
    before = dom0.wake("tick")
    domid = dom0.domid("tick")
    for number in range(3):
        assert "running on" in dom0.pyxl(f"save -c tick {FILE}.{number}").stdout
        assert dom0.domid("tick") == domid
        went_on(before, before := dom0.tick("tick"))
    dom0.pyxl("destroy tick")
    dom0.pyxl(f"restore {FILE}.2")
    after = dom0.tick("tick")
    assert after.hash == before.hash
    assert after.counter <= before.counter + 10
    assert dom0.left_behind() == []


def test_save_p_leaves_it_paused_and_restore_p_too(dom0: Dom0) -> None:
    """And a config that is given to the restore takes the place of the one in the file."""
    before = dom0.wake("tick")
    assert "paused" in dom0.pyxl(f"save -p tick {FILE}").stdout
    assert "--p---" in dom0.pyxl("list tick").stdout
    dom0.pyxl("unpause tick")
    went_on(before, dom0.tick("tick"))
    dom0.pyxl("destroy tick")

    dom0.run(OTHER_CONFIG)
    assert "paused" in dom0.pyxl(f"restore -p /root/other.cfg {FILE}").stdout
    assert dom0.domid("tick") is None
    assert "--p---" in dom0.pyxl("list other").stdout
    dom0.pyxl("unpause other")
    went_on(before, dom0.tick("other"))


def test_save_d_asks_for_the_same_domid(dom0: Dom0) -> None:
    """And a config that is given to the save goes into the file."""
    before = dom0.wake("tick")
    domid = dom0.domid("tick")
    dom0.run(OTHER_CONFIG)
    dom0.pyxl(f"save -D tick {FILE} /root/other.cfg")
    assert "domain id recently used" in dom0.refused(f"restore {FILE}")
    dom0.run("rm /var/run/xen/domid-history")  # a minute later libxl lets it go
    dom0.pyxl(f"restore {FILE}")
    assert dom0.domid("other") == domid
    went_on(before, dom0.tick("other"))


@pytest.mark.soak
def test_a_checkpoint_goes_through_pipes(dom0: Dom0) -> None:
    """The output has sums as a file has, and the input is checked as a file is."""
    before = dom0.wake("tick")
    dom0.run(f"set -o pipefail; pyxl save tick - | cat > {FILE}; pyxl verify {FILE}")
    dom0.run(f"cat {FILE} | pyxl restore -")
    went_on(before, dom0.tick("tick"))
    dom0.pyxl("destroy tick")
    dom0.run(f"printf x | dd of={FILE} bs=1 seek=100000000 conv=notrunc 2>&1")
    result = dom0.run(f"cat {FILE} | pyxl restore -", check=False)
    assert result.status == 1
    assert "block 24 of 33 is not what was saved" in result.stderr
    assert dom0.domid("tick") is None
    # The input ends behind its header, which would kill libxl.
    result = dom0.run(f"head -c $((48 + $(od -An -tu4 -j44 -N4 {FILE}))) {FILE} | pyxl restore -", check=False)
    assert result.status == 1
    assert 'restore - "tick": build: file ends 16 bytes too early' in result.stderr
    assert dom0.domid("tick") is None
