"""Devices and settings of xl.cfg beyond disks and networks: the guest has them, and after a restore it has them again."""

import pytest

from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/checkpoint"
#: What a sandbox's config has; the last three say nothing to libxl.
SETTINGS = """
name = "devices"
cpuid = "host,htt=0,aesni=0"
usbdevice = ["tablet"]
usb = 1
channel = ["name=org.example.channel,connection=socket,path=/run/xen/example.sock"]
vnc = 1
vkb_device = 1
viridian = ["base", "time_ref_count"]
device_model_args = ["-smbios", "type=1,serial=lab-0001"]
p9 = ["tag=share,security_model=none,path=/root"]
usbctrl = ["type=qusb,version=2,ports=4"]
spice = 1
spicehost = "127.0.0.1"
spiceport = 5999
spicedisable_ticketing = 1
rdm = "strategy=host,policy=relaxed"
parallel = "none"
vncconsole = 1
"""
#: As the guest's kernel calls them.
PARAVIRTUAL = ("9pfs-0", "vusb-0", "vkbd-0")


def seen_by_guest(dom0: Dom0, device: str) -> str:
    """Return what the guest's kernel knows of a paravirtual device."""
    at = f"/sys/bus/xen/devices/{device}/nodename"
    line = dom0.ask("devices", f"^read {at} ", f"read {at}")
    assert line.endswith(f" device/{device.replace('-', '/')}")
    return line


@pytest.mark.soak
def test_what_a_sandbox_s_config_has_survives_a_checkpoint(dom0: Dom0) -> None:
    dom0.put("/root/more.cfg", SETTINGS.encode())
    dom0.run("(grep -v '^name\\|^vnc' /etc/xen/lab/tick.cfg; cat /root/more.cfg) > /root/devices.cfg")
    said = dom0.pyxl("create /root/devices.cfg").stderr
    assert '"parallel" is ignored' in said and '"vncconsole" is ignored' in said
    before = dom0.first_tick("devices")
    config = dom0.pyxl("config show --json devices").stdout
    arguments = "tr '\\0' '\\n' < /proc/$(xenstore-read /local/domain/$(xl domid devices)/image/device-model-pid)/cmdline"
    emulated = f"{arguments} | grep -E 'serial=lab|tablet|port=5999' | sort"
    devices = dom0.run(emulated).stdout
    assert "serial=lab-0001" in devices and "tablet" in devices and "port=5999" in devices
    frontends = [seen_by_guest(dom0, device) for device in PARAVIRTUAL]
    dom0.pyxl(f"save devices {FILE}")
    dom0.pyxl(f"restore {FILE}")
    after = dom0.tick("devices")
    assert before.hash == after.hash and before.counter < after.counter
    assert dom0.run(emulated).stdout == devices
    assert [seen_by_guest(dom0, device) for device in PARAVIRTUAL] == frontends
    dom0.run("test -S /run/xen/example.sock")
    assert dom0.pyxl("config show --json devices").stdout == config
    assert dom0.pyxl(f"config diff devices {FILE}").stdout == ""
    dom0.run("xl destroy devices")


@pytest.mark.soak
def test_a_guest_sees_its_numa_nodes(dom0: Dom0) -> None:
    """That such a guest is not saved is test_preflight's."""
    nodes = "".join(f'["pnode=0", "size=128", "vcpus={node}", "vdistances={near}"],' for node, near in ((0, "10,20"), (1, "20,10")))
    settings = f'name = "numa"\nmemory = 256\nvcpus = 2\nvnuma = [{nodes}]\n'
    dom0.put("/root/more.cfg", settings.encode())
    dom0.run("(grep -v '^name\\|^memory\\|^vcpus' /etc/xen/lab/tick.cfg; cat /root/more.cfg) > /root/numa.cfg")
    dom0.pyxl("create /root/numa.cfg")
    dom0.first_tick("numa")
    at = "/sys/devices/system/node"
    assert dom0.ask("numa", "^read ", f"read {at}/online").endswith(" 0-1")
    assert dom0.ask("numa", "^read ", f"read {at}/node1/distance").endswith(" 20 10")
    dom0.run("xl destroy numa")
