"""A guest that writes through its file systems' journals all the time: memory and disks come back in step."""

import json

import pytest

from tests.xen.clones.test_clones import POOL, TRACES, XFS, alone, nobody_at_work, stores
from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/disk.checkpoint"
LEFT = f"{TRACES}; ls {XFS}"
#: Writes numbers to both disks, each line when the one before is on them; memory has the last that was on both.
WRITER = (
    "sh (n=0; while n=$((n+1)); do for d in a b; do echo $n >> /mnt/$d/log; done; sync; echo $n > /run/at; sleep 0.1; done) "
    "< /dev/null > /dev/null 2>&1 & echo $! > /run/writer; echo started"
)
#: The last number on each disk, and of how many lines; what memory believes.
LOOK = (
    "sh kill -9 $(cat /run/writer); sync; echo 3 > /proc/sys/vm/drop_caches; "
    "echo $(tail -n 1 /mnt/a/log) $(wc -l < /mnt/a/log) $(tail -n 1 /mnt/b/log) $(wc -l < /mnt/b/log) $(cat /run/at)"
)


def killed(dom0: Dom0, traces: str) -> None:
    """Killed while the disks are copied: the guest goes on, and the copies go.  Other faults are in test_faults.py."""
    dom0.run(
        f"setsid pyxl save -c --disks disk {FILE} > /root/said 2>&1 & until grep -qs '\"DISKS\"' /var/lib/xen/pyxl/*; "
        "do sleep 0.02; done; kill -9 $!"
    )
    dom0.pyxl("recover")
    nobody_at_work(dom0)
    assert dom0.run(LEFT).stdout == traces


def check(dom0: Dom0, disk: str, form: str) -> None:
    """Have the file system of a disk checked, in a copy: once its journal has been replayed, nothing is wrong with it."""
    dom0.run(
        f"qemu-img convert -f {form} -O raw {disk} /root/b; e2fsck -fp /root/b; [ $? -le 1 ] && e2fsck -fn /root/b; "
        "status=$?; rm /root/b; exit $status"
    )


@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=pytest.mark.soak)])
def test_disks_are_in_step_with_the_memory(dom0: Dom0, rounds: int) -> None:
    with alone(dom0), stores(dom0):
        dom0.run(
            f"set -e; pyxl save disk {FILE}; "
            f"dd if=/var/lib/pyxl-lab/disk-hda.raw of={POOL}/hda bs=1M conv=fsync status=none; "
            f"cp /var/lib/pyxl-lab/disk-hdb.qcow2 {XFS}/disk-hdb.qcow2; "
            f"pyxl restore --disk hda={POOL}/hda --disk hdb={XFS}/disk-hdb.qcow2 {FILE}"
        )
        check(dom0, f"{XFS}/disk-hdb.qcow2", "qcow2")
        before, traces = dom0.tick("disk"), dom0.run(LEFT).stdout
        killed(dom0, traces)
        for _ in range(rounds):
            dom0.ask("disk", "^sh started", f"sh rm -f /mnt/?/log; {WRITER.removeprefix('sh ')}")
            dom0.run("sleep 2")
            dom0.pyxl(f"save -c --disks disk {FILE}")
            for each in json.loads(dom0.pyxl(f"verify --json {FILE}").stdout)["identity"]["disks"]:
                check(dom0, each["path"], each["format"])
            dom0.run("sleep 1; xl destroy disk")
            assert "has gone on without the checkpoint" in dom0.refused(f"restore {FILE}")
            assert json.loads(dom0.pyxl(f"restore --disks --json {FILE}").stdout)["clock"] == "xen"
            assert dom0.tick("disk").hash == before.hash
            one, lines, other, its_lines, believed = map(int, dom0.ask("disk", r"^sh \d", LOOK).split()[1:])
            assert (one, other) == (lines, its_lines) and 0 <= one - believed <= 1 and 0 <= other - believed <= 1
            assert believed > 1
            dom0.pyxl(f"checkpoints remove {FILE}")
            assert dom0.run(LEFT).stdout == traces
        dom0.ask("disk", "^sh gone", "sh umount /mnt/a /mnt/b; echo gone")
        dom0.run("xl destroy disk; sleep 1")
        check(dom0, f"{POOL}/hda", "raw")
        check(dom0, f"{XFS}/disk-hdb.qcow2", "qcow2")
