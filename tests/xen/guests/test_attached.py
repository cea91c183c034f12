"""What a running guest is given or loses is in its next checkpoint, whoever restores that, and xl sees it as pyxl does."""

import json

import pytest

from pyxl.lab.recipe import SAVED_GUEST_FILE
from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/checkpoint"
IMAGE, DISC, FIRST = "/root/attached.raw", "/root/disc.iso", "/root/first.iso"
MAC = "00:16:3e:00:00:77"
#: In MiB.
MEMORY, MOST = 160, 224


def lists(dom0: Dom0, name: str) -> tuple[list[str], list[str]]:
    """Return the vdevs and MACs of a guest, after a look whether pyxl's lists are xl's to the last blank."""
    for command in ("block-list", "network-list"):
        assert dom0.pyxl(f"{command} {name} 0").stdout == dom0.run(f"xl {command} {name} 0").stdout
    disks, nics = (json.loads(dom0.pyxl(f"{kind}-list --json {name}").stdout) for kind in ("block", "network"))
    return [disk["vdev"] for disk in disks], [nic["mac"] for nic in nics]


def asked(dom0: Dom0, name: str, line: str) -> str:
    """Return the last line of what a guest's shell says."""
    return dom0.ask(name, "^sh ", f"sh {line}").removeprefix("sh ").strip()


def has_what_it_was_given(dom0: Dom0) -> None:
    dom0.tick("disk")
    assert asked(dom0, "disk", "cat /mnt/e/said") == "written before the save"
    assert asked(dom0, "disk", "ls -d /sys/bus/xen/devices/vif-1") == "/sys/bus/xen/devices/vif-1"
    vdevs, macs = lists(dom0, "disk")
    assert vdevs == ["hda", "hdb", "xvde"] and macs[1:] == [MAC]
    build = json.loads(dom0.pyxl("config show --json disk").stdout)["b_info"]
    assert (build["target_memkb"] >> 10, build["max_memkb"] >> 10) == (MEMORY, MOST)


def test_devices_and_memory_are_in_the_next_checkpoint(dom0: Dom0) -> None:
    dom0.wake("disk")
    dom0.run(f"truncate -s 8M {IMAGE}; mke2fs -q {IMAGE}")
    assert "is missing: /root/none.raw" in dom0.refused("block-attach disk vdev=xvde,target=/root/none.raw")
    dom0.pyxl(f"block-attach disk format=raw vdev=xvde access=rw target={IMAGE}")
    assert "is in use: domain" in dom0.refused(f"block-attach disk vdev=xvdf,target={IMAGE}")
    dom0.pyxl(f"network-attach disk bridge=xenbr0 script=vif-lab mac={MAC}")
    dom0.pyxl(f"mem-set disk {MEMORY}")
    dom0.pyxl(f"mem-max disk {MOST}m")
    asked(dom0, "disk", "mkdir -p /mnt/e; mount /dev/xvde /mnt/e; echo written before the save > /mnt/e/said; sync")
    has_what_it_was_given(dom0)
    dom0.pyxl(f"save disk {FILE}")
    dom0.pyxl(f"restore {FILE}")
    has_what_it_was_given(dom0)
    dom0.run("xl destroy disk")
    dom0.run(f"xl restore {FILE}")
    has_what_it_was_given(dom0)
    asked(dom0, "disk", "umount /mnt/e")
    dom0.pyxl("block-detach disk xvde")
    dom0.pyxl(f"network-detach disk {MAC}")
    dom0.pyxl(f"save disk {FILE}")
    dom0.pyxl(f"restore {FILE}")
    dom0.tick("disk")
    assert lists(dom0, "disk")[0] == ["hda", "hdb"] and len(lists(dom0, "disk")[1]) == 1
    assert asked(dom0, "disk", "ls /sys/class/block | grep -c xvde") == "0"
    dom0.run("xl destroy disk")


def disc_of(dom0: Dom0) -> str:
    """Return which disc the guest's drive has, by its config and by xenstore; empty where there is none."""
    (drive,) = json.loads(dom0.pyxl("config show --json tick").stdout)["disks"]
    (seen,) = json.loads(dom0.pyxl("block-list --json tick").stdout)
    assert seen["target"] == drive.get("pdev_path", "")
    return str(seen["target"])


@pytest.mark.soak
def test_discs_and_a_config_for_the_next_reboot(dom0: Dom0) -> None:
    dom0.run(f"xl destroy tick; truncate -s 1M {DISC} {FIRST}; cp /etc/xen/lab/tick.cfg /root/cd.cfg")
    dom0.run("(cat /root/cd.cfg; echo 'disk = [\",empty,hdc,r,cdrom\"]') > /root/empty.cfg")
    dom0.run(f"echo 'disk = [\"{FIRST},,hdc,r,cdrom\"]' >> /root/cd.cfg")
    dom0.pyxl("create -p /root/empty.cfg")
    assert "qemu may crash when a disc is put in" in dom0.refused(f"cd-insert tick hdc {DISC}")
    dom0.run("xl destroy tick")
    dom0.pyxl(f"restore --force /root/cd.cfg {SAVED_GUEST_FILE}")
    dom0.pyxl(f"cd-insert tick hdc {DISC}")
    assert disc_of(dom0) == DISC
    dom0.pyxl(f"save tick {FILE}")
    dom0.pyxl(f"restore {FILE}")
    assert disc_of(dom0) == DISC
    dom0.run("xl cd-eject tick hdc")
    assert disc_of(dom0) == ""
    dom0.pyxl(f"cd-insert tick hdc {DISC}")
    dom0.pyxl("cd-eject tick hdc")
    dom0.pyxl("config-update tick /root/cd.cfg memory=120")
    domid = dom0.domid("tick")
    assert domid is not None
    dom0.send("tick", "reboot")
    dom0.wait_for_log("tick", f"takes the place of {domid}")
    assert json.loads(dom0.pyxl("config show --json tick").stdout)["b_info"]["target_memkb"] == 120 << 10
    dom0.run("xl destroy tick")


@pytest.mark.soak
def test_a_core_is_xl_s_and_the_guest_goes_on(dom0: Dom0) -> None:
    """libxc maps each page by itself, which takes minutes here."""
    before = dom0.wake("tick")
    dom0.pyxl(f"dump-core tick {PLACE}/core", timeout=900)
    assert dom0.tick("tick").hash == before.hash
    dom0.run(f"xl pause tick; xl dump-core tick {PLACE}/xl; xl unpause tick", timeout=900)
    said = dom0.run(f"cd {PLACE}; for f in core xl; do head -c 64 $f | od -An -tx1 -v; stat -c %s $f; done").stdout.split("\n")
    half = len(said) // 2
    assert said[:half] == said[half : 2 * half] and said[0].startswith(" 7f 45 4c 46")
