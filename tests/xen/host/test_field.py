"""What real hosts do to a toolstack, as users have reported it; each lost a guest or was refused before version 0.4."""

import pytest

from tests.xen.conftest import PLACE, Dom0
from tests.xen.guests.test_journey import went_on

FILE = f"{PLACE}/checkpoint"


def test_a_ballooned_guest_comes_back_with_the_memory_that_it_has(host: Dom0) -> None:
    """It has no PV drivers, so it never gives back what `xl mem-set` wants; stock xl takes the file, too."""
    before = host.wake("plain")
    host.run("xl mem-set plain 96")
    said = host.pyxl(f"save plain {FILE}").stderr
    assert "the guest has 128 MiB, by its config 96 MiB: the file gives it 128 MiB" in said
    host.run(f"xl restore {FILE} 2>&1")
    went_on(before, host.tick("plain"))
    host.run("xl destroy plain")
    host.pyxl(f"restore {FILE}")
    went_on(before, host.tick("plain"))
    host.run(f"xl mem-set plain 96; xl save plain {FILE} 2>&1")
    assert "Device or resource busy" in host.run(f"xl restore {FILE} 2>&1", check=False).stdout
    said = host.pyxl(f"restore {FILE}").stderr
    assert "the checkpoint has 128 MiB, by its config 96 MiB: the guest gets 128 MiB" in said
    went_on(before, host.tick("plain"))


@pytest.mark.soak
def test_a_guest_that_is_populated_on_demand_comes_back_with_all_of_it(host: Dom0) -> None:
    """It has half of its memory until it uses the rest, but all of it is in the stream; xl's file cannot be restored."""
    change = "s/^name.*/name = \"pod\"/; s/^memory.*/memory = 96/"
    host.run(f"(sed '{change}' /etc/xen/lab/plain.cfg; echo 'maxmem = 160') > /root/pod.cfg; pyxl create -p /root/pod.cfg")
    assert "the guest has 160 MiB, by its config 96 MiB: the file gives it 160 MiB" in host.pyxl(f"save pod {FILE}").stderr
    host.run(f"xl restore -p {FILE} 2>&1 && xl destroy pod")
    host.pyxl(f"restore -p {FILE}")
    host.run("xl destroy pod")


def test_a_guest_that_is_paused_needs_one_unpause_after_save_p(host: Dom0) -> None:
    host.wake("plain")
    host.run("xl pause plain")
    host.pyxl(f"save -p plain {FILE}")
    host.run("xl unpause plain")
    host.tick("plain")


def test_nothing_that_a_domain_needs_is_a_target(host: Dom0) -> None:
    """Its disks, by all their names, its kernel and its log; each refusal leaves the file as it was."""
    host.run("ln -sf /var/lib/pyxl-lab/disk-hda.raw /root/link.raw")
    disk, plain = host.domid("disk"), host.domid("plain")
    sums = host.run("cd /var/lib/pyxl-lab; md5sum disk-hda.raw disk-hdb.qcow2 vmlinuz").stdout
    for target, said in (
        ("/var/lib/pyxl-lab/disk-hda.raw", f'disk-hda.raw is a disk of domain {disk} "disk"'),
        ("/root/link.raw", f'disk-hda.raw is a disk of domain {disk} "disk"'),
        ("/var/lib/pyxl-lab/disk-hdb.qcow2", f'disk-hdb.qcow2 is a disk of domain {disk} "disk"'),
        ("/var/lib/pyxl-lab/vmlinuz", "vmlinuz is the kernel of domain "),
        ("/var/log/xen/qemu-dm-plain.log", f'qemu-dm-plain.log is the log of domain {plain} "plain"'),
    ):
        assert said in host.refused(f"save -c plain {target}")
    host.run("losetup -r /dev/loop6 /var/lib/pyxl-lab/disk-hda.raw; mount -o ro,noload /dev/loop6 /mnt")
    said = host.refused("save -c plain /mnt/checkpoint")
    host.run("umount /mnt; losetup -d /dev/loop6")
    assert f'preflight: /mnt is on a disk of domain {disk} "disk" (/var/lib/pyxl-lab/disk-hda.raw)' in said
    assert host.run("cd /var/lib/pyxl-lab; md5sum disk-hda.raw disk-hdb.qcow2 vmlinuz").stdout == sums


def test_two_guests_are_not_saved_to_one_file(host: Dom0) -> None:
    host.wake("plain")
    host.run(f"xl unpause tick; pyxl save -c tick {FILE} 2> /root/1 & pyxl save -c plain {FILE} 2> /root/2; wait; xl pause tick")
    said = host.run("cat /root/1 /root/2").stdout
    assert "open file: a save of " in said and f"writes to {FILE}, too" in said
    host.tick("plain")


def test_a_device_that_the_host_uses_or_that_is_too_small(host: Dom0) -> None:
    host.run("truncate -s 64M /root/d.raw; losetup /dev/loop7 /root/d.raw; mkfs.ext4 -q /dev/loop7; mount /dev/loop7 /mnt")
    in_use = host.refused("save -c plain /dev/loop7")
    host.run("umount /mnt")
    small = host.refused("save -c plain /dev/loop7")
    host.run("losetup -d /dev/loop7")
    assert "preflight: /dev/loop7 is in use by this host" in in_use
    assert "preflight: /dev/loop7 has 64 MiB free, the checkpoint needs up to" in small


@pytest.mark.soak
def test_a_pvh_guest_is_restored_without_its_kernel(host: Dom0) -> None:
    """A restore needs none; that the guest runs again shows in that it suspends once more, which needs its help."""
    host.run(
        "cp /var/lib/pyxl-lab/vmlinuz /root/kernel; printf '%s\\n' 'type = \"pvh\"' 'name = \"slim\"' 'memory = 128' "
        "'kernel = \"/root/kernel\"' 'ramdisk = \"/var/lib/pyxl-lab/initrd\"' "
        "'cmdline = \"quiet console=hvc0 rdinit=/bin/busybox -- sleep 1000000\"' > /root/slim.cfg"
    )
    host.pyxl("create /root/slim.cfg")
    able = f"xenstore-read /local/domain/{host.domid('slim')}/control/feature-suspend"
    host.run(f"for i in $(seq 300); do [ \"$({able})\" = 1 ] && exit 0; sleep 0.2; done; exit 1")
    host.pyxl(f"save slim {FILE}-slim")
    host.run("rm /root/kernel")
    assert "kernel is missing: /root/kernel; the guest's next reboot needs it" in host.pyxl(f"restore {FILE}-slim").stderr
    host.pyxl(f"save slim {FILE}-slim")


@pytest.mark.soak
def test_a_clone_through_a_pipe(host: Dom0) -> None:
    """How drakvuf makes a guest's copy."""
    before = host.wake("plain")
    host.run("sed 's/\"plain\"/\"clone\"/' /etc/xen/lab/plain.cfg > /root/clone.cfg; mkfifo /root/pipe")
    host.run(
        "set -e; pyxl pause plain; pyxl save -c plain /root/pipe & pyxl restore -p -e /root/clone.cfg /root/pipe; wait $!"
    )
    host.run("xl unpause plain; xl unpause clone")
    went_on(before, host.tick("plain"))
    went_on(before, host.tick("clone"))
    assert host.uuid("plain") != host.uuid("clone")
    assert "watched" not in host.pyxl(f"save -c clone {FILE}").stderr  # -e: it is to have no monitor, then and now
    host.run("xl destroy clone")


def test_every_way_to_name_what_is_open(host: Dom0) -> None:
    """Standard output by its names in /dev, and what bash makes of `>(…)`; also where the reader set it not to block."""
    host.wake("plain")
    slow = "import os, subprocess, sys, time; r, w = os.pipe(); os.set_blocking(w, False); "
    slow += f"p = subprocess.Popen(['pyxl', 'save', '-c', 'plain', '-'], stdout=w); os.close(w); f = open('{FILE}.3', 'wb'); "
    slow += "exec('while d := os.read(r, 1 << 16): f.write(d)'); sys.exit(p.wait())"
    host.run(
        f"set -e -o pipefail; pyxl save -c plain /dev/stdout | cat > {FILE}.1; "
        f'pyxl save -c plain >(cat > {FILE}.2; touch /root/done); python3 -c "{slow}"; '
        "while ! [ -e /root/done ]; do sleep 0.1; done"
    )
    for number in range(1, 4):
        assert ": whole" in host.pyxl(f"verify {FILE}.{number}").stdout


def test_a_fifo_that_nobody_reads_ends_by_ctrl_c(host: Dom0) -> None:
    host.wake("plain")
    host.run(f"mkfifo {FILE}.fifo")
    result = host.run(f"timeout -s INT 3 pyxl save -c plain {FILE}.fifo", check=False)
    assert "open file: interrupted" in result.stderr
    host.tick("plain")


def test_a_file_system_that_does_not_know_its_room(host: Dom0) -> None:
    host.wake("plain")
    host.run("mkdir -p /root/ramfs; mount -t ramfs ramfs /root/ramfs; pyxl save -c plain /root/ramfs/x; pyxl verify /root/ramfs/x")
    host.run("umount /root/ramfs")


def test_room_that_seems_short_can_be_passed_over(host: Dom0) -> None:
    host.run("mkdir -p /root/small; mount -t tmpfs -o size=40m tmpfs /root/small")
    assert "`--force` passes over this check" in host.refused("save -c plain /root/small/x")
    result = host.pyxl("save --force -c plain /root/small/x", check=False)
    host.run("umount /root/small")
    assert result.status == 1
    assert "pyxl: passed over by --force: /root/small has 40 MiB free" in result.stderr
    assert "No space left on device" in result.stderr and "guest resumed, nothing written" in result.stderr
    host.tick("plain")


def test_a_name_that_is_not_ascii_where_python_knows_only_ascii(host: Dom0) -> None:
    host.run("sed 's/\"plain\"/\"gäst\"/' /etc/xen/lab/plain.cfg > /root/gäst.cfg; xl create -p /root/gäst.cfg")
    plain = "env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 PYTHONWARNINGS=error pyxl"
    said = host.run(f"{plain} save gäst {FILE}-gäst").stdout
    assert f'"gäst" to {FILE}-gäst' in said


def test_where_a_guest_was_moved_to_while_it_ran(host: Dom0) -> None:
    """Its cpupool and the processor that it is pinned to; stock xl forgets both, and keeps its weight."""
    host.wake("plain")
    pool = "xl cpupool-cpu-remove Pool-0 1; xl cpupool-create 'name=\"other\"' 'sched=\"credit2\"' 'cpus=\"1\"'"
    placed = "xl vcpu-list plain | awk 'NR == 2 { print $7 }'; xl list -c plain | awk 'NR == 2 { print $NF }'"
    host.run(f"{pool}; xl cpupool-migrate plain other; xl vcpu-pin plain 0 1")
    try:
        host.pyxl(f"save plain {FILE}")
        host.pyxl(f"restore {FILE}")
        assert host.run(placed).stdout.split() == ["1", "other"]
        host.pyxl(f"save plain {FILE}")
    finally:
        host.run("xl cpupool-destroy other; xl cpupool-cpu-add Pool-0 1")
    said = host.pyxl(f"restore {FILE}").stderr
    assert 'pyxl: cpupool "other" is not on this host: the guest runs in the host\'s own' in said
    assert host.run(placed).stdout.split() == ["1", "Pool-0"]
    host.tick("plain")


@pytest.mark.soak
def test_dom0_makes_room_where_xl_conf_has_it(host: Dom0) -> None:
    """As much as under stock xl; and it is as large as before when the guest cannot be built."""
    free = int(host.run("xl info | awk '/^free_memory/ { print $3 }'").stdout)
    dom0 = "xl list 0 | awk 'NR == 2 { print $3 }'"
    host.run(
        f"sed 's/^name.*/name = \"wide\"/; s/^memory.*/memory = {free + 64}/' /etc/xen/lab/plain.cfg > /root/wide.cfg; "
        "sed 's,^kernel.*,kernel = \"/etc/passwd\",' /root/wide.cfg > /root/bad.cfg; cp /etc/xen/xl.conf /root/xl.conf"
    )
    before = host.run(dom0).stdout
    refused = host.refused("create /root/wide.cfg")
    host.run("echo 'autoballoon = \"on\"' >> /etc/xen/xl.conf")
    try:
        said = host.pyxl("create -p /root/wide.cfg").stderr
        small = host.run(f"{dom0}; xl destroy wide; xl mem-set 0 {before}").stdout
        host.run("xl create -p /root/wide.cfg")
        small_under_xl = host.run(f"{dom0}; xl destroy wide; xl mem-set 0 {before}").stdout
        failed = host.pyxl("create /root/bad.cfg", check=False).stderr
    finally:
        host.run("mv /root/xl.conf /etc/xen/xl.conf")
    assert "MiB of memory, Xen has" in refused and "make dom0 smaller" in refused
    assert "MiB to make room (autoballoon)" in said
    assert int(before) - 80 < int(small) == int(small_under_xl) < int(before) - 60
    assert "MiB given back to dom0" in failed
    host.run(f"for i in $(seq 50); do [ $({dom0}) = {before.strip()} ] && exit 0; sleep 0.1; done; exit 1")


@pytest.mark.soak
def test_logs_that_cannot_be_kept_keep_nobody_from_a_guest(host: Dom0) -> None:
    """The log's directory is a full disk; stderr is closed, or full."""
    host.wake("plain")
    host.run("mount -t tmpfs -o size=4k tmpfs /var/log; mkdir /var/log/xen; cat /dev/zero > /var/log/full || true")
    try:
        host.pyxl(f"save -c plain {FILE}.1 2>&-")
        host.pyxl(f"save plain {FILE}.2 2>/dev/full")
    finally:
        host.run("umount /var/log")
    host.pyxl(f"restore {FILE}.2")
    host.tick("plain")


def test_a_directory_of_xenstore_that_is_larger_than_one_answer(host: Dom0) -> None:
    domid = host.domid("plain")
    names = [f"/local/domain/{'x' * 60}{number}" for number in range(100)]
    host.run("xenstore-write " + " ".join(f"{name} 1" for name in names))
    try:
        assert host.pyxl("domid plain").stdout.strip() == str(domid)
    finally:
        host.run("xenstore-rm " + " ".join(names))
