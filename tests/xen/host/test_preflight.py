"""Real reasons not to save or build a guest: refused in one line, and nothing is touched."""

import base64
import shlex

from pyxl.formats.stream import cpu_policy, libxc_v2, libxl_v2, record, xl_header
from tests.formats.stream.test_streams import Bytes
from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/checkpoint"



def refused_to_save(host: Dom0, name: str, line: str = "", before: str = "") -> str:
    """Create a guest like plain, with one more ``line`` in its config, and return what a save of it says.

    ``before`` is what to have done to it before, by the agent.
    """
    host.run(f"(sed 's/\"plain\"/\"{name}\"/' /etc/xen/lab/plain.cfg; echo {shlex.quote(line)}) > /root/{name}.cfg")
    host.run(f"xl create -p /root/{name}.cfg")
    if before:
        host.link.ask(before, name=name)
    said = host.refused(f"save {name} {FILE}")
    host.run(f"xl destroy {name}")
    return said


def test_pv_drivers_that_say_that_they_cannot(host: Dom0) -> None:
    """The guest is paused again before the flag is put back."""
    control = f"/local/domain/{host.domid('disk')}/control"
    host.run(f"xl unpause disk; xenstore-write {control}/feature-suspend 0")
    assert "preflight: the guest's PV drivers say that it cannot suspend" in host.refused(f"save disk {FILE}")
    host.run(f"xl pause disk; xenstore-write {control}/feature-suspend 1")


def test_a_guest_that_sleeps(host: Dom0) -> None:
    """Xen puts it to sleep as if the guest had written to its ACPI registers."""
    said = refused_to_save(host, "sleeper", before="put_to_sleep")
    assert "preflight: the guest sleeps (ACPI S3)" in said and "s3resume" in said


def test_a_guest_under_a_debugger(host: Dom0) -> None:
    assert "preflight: a debugger is attached to the guest" in refused_to_save(host, "bugged", before="attach_debugger")


def test_a_read_only_file_system(host: Dom0) -> None:
    host.run("mkdir -p /root/ro; mount -t tmpfs -o ro,size=600m tmpfs /root/ro")
    said = host.refused("save plain /root/ro/x")
    host.run("umount /root/ro")
    assert "preflight: /root/ro cannot be written to: it is on a read-only file system" in said


def test_a_device_model_that_is_stopped_is_not_waited_for(host: Dom0) -> None:
    pid = host.run(f"xenstore-read /local/domain/{host.domid('plain')}/image/device-model-pid").stdout.strip()
    host.run(f"kill -STOP {pid}")
    said = host.refused(f"save plain {FILE}")
    host.run(f"kill -CONT {pid}")
    assert "preflight: device model of domain" in said and "timed out" in said and "kill -CONT" in said


def test_a_device_that_cannot_be_saved(host: Dom0) -> None:
    host.run("truncate -s 1M /root/n.raw")
    drive = '"-drive", "if=none,id=n,format=raw,file=/root/n.raw", "-device", "nvme,drive=n,serial=x"'
    said = refused_to_save(host, "nvme", f"device_model_args = [{drive}]")
    assert "preflight: the device model cannot save its state: " in said and "nvme" in said


def test_a_device_that_the_device_model_gets_late(host: Dom0) -> None:
    """Stock xl saves the guest, destroys it, and cannot restore it: qemu refuses the controller's state."""
    said = refused_to_save(host, "late", 'usbctrl = ["type=devicemodel,version=2,ports=6"]')
    assert "preflight: no restore can give the guest back" in said and "usbctrl 0" in said and "`usb = 1`" in said


def test_a_topology_that_would_be_lost(host: Dom0) -> None:
    """Stock xl refuses it, too, when the guest is suspended already."""
    said = refused_to_save(host, "numa", 'vnuma = [["pnode=0", "size=128", "vcpus=0", "vdistances=10"]]')
    assert "preflight: the guest has a NUMA topology of its own" in said and "`--force` passes over" in said


def test_a_disk_that_another_guest_writes_to(host: Dom0) -> None:
    host.run("ln -sf /var/lib/pyxl-lab/disk-hda.raw /root/link.raw")
    host.run("sed 's/\"disk\"/\"thief\"/; s|/var/lib/pyxl-lab/disk-hda.raw|/root/link.raw|' /etc/xen/lab/disk.cfg > /root/thief.cfg")
    said = host.refused("create /root/thief.cfg")
    assert f'preflight: disk hda is in use: domain {host.domid("disk")} "disk" is writing to it (/root/link.raw)' in said


def test_a_checkpoint_of_a_richer_processor(host: Dom0) -> None:
    """A file that this host wrote fits it; with avx512f in its CPUID record it does not.

    It is a file of xl's, as the sums of pyxl's would show the change.
    """
    host.wake("plain")
    host.run(f"xl save plain {FILE} 2>&1")
    head = base64.b64decode(host.run(f"head -c 65536 {FILE} | base64 -w0").stdout)
    place = leaf_7(head) + 12  # ebx
    flipped = head[place + 2] | 1  # bit 16
    host.run(f"cp {FILE} {FILE}.rich; printf '\\x{flipped:02x}' | dd of={FILE}.rich bs=1 seek={place + 2} conv=notrunc 2>&1")
    said = host.refused(f"restore {FILE}.rich")
    assert "preflight: this host's processor, as Xen gives it to guests, lacks what the guest runs on: avx512f" in said
    host.pyxl(f"restore -p {FILE}")


def leaf_7(head: bytes) -> int:
    """Return the offset of CPUID leaf 7 in the checkpoint."""
    source = Bytes(head)
    source.offset = xl_header.parse(source.take).size
    source.skip(libxl_v2.HEADER.size + record.HEADER.size + libxc_v2.IMAGE.size + libxc_v2.DOMAIN.size)
    number, length = record.read_header(source.take, 0)
    assert number == cpu_policy.CPUID
    places = range(source.offset, source.offset + length, cpu_policy.LEAF.size)
    return next(place for place in places if cpu_policy.LEAF.unpack_from(head, place)[:2] == (7, 0))
