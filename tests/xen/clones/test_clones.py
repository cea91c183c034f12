"""Several guests from one checkpoint, on real disks: each is itself, none changes another's, and none leaves a trace."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.xen.conftest import PLACE, Dom0, Tick

FILE = f"{PLACE}/disk.checkpoint"
NAMES = tuple(f"lab-{number}" for number in range(1, 7))
ORIGINS = "/var/lib/pyxl-lab/disk-hda.raw /var/lib/pyxl-lab/disk-hdb.qcow2"
#: What clones might leave: domains, files, nodes, loop devices, volumes.
TRACES = (
    "xl list | tail -n +2 | awk '{ print $1 }' | sort; "
    "find /var/lib/pyxl-lab /var/lib/xen/pyxl-clones /var/lib/xen/pyxl -type f 2> /dev/null | sort; "
    "losetup -a; xenstore-ls -f /libxl | grep -c pyxl-clone; ls /dev/mapper; xenstore-list /local/domain/0/backend/vbd | wc -l"
)


@contextmanager
def alone(dom0: Dom0) -> Iterator[None]:
    """Have dom0 with no guest but "disk", which ticks; afterwards nothing of a clone is there.

    It has one processor: the emulator disturbs a guest the more often, the more goes on in it (pyxl/lab/README.md).
    No fixture: a test that the emulator disturbed runs once more, and its fixtures do not.
    """
    for name in ("big", "plain", "tick"):
        dom0.run(f"xl destroy {name}")
    dom0.wake("disk")
    dom0.ask("disk", "^sh 0$", "sh cd /sys/devices/system/cpu; echo 0 > cpu1/online; cat online")
    yield
    left = [clone["name"] for clone in json.loads(dom0.pyxl("list --clones --json").stdout)]
    if left:
        dom0.pyxl(f"clone --discard {' '.join(left)}")


def nobody_at_work(dom0: Dom0) -> None:
    """Wait until no operation has a journal, or is about to have one."""
    busy = '[ "$(ls -A /var/lib/xen/pyxl)" ] || pgrep -f "[p]yxl restore "'
    dom0.run(f"for i in $(seq 300); do {busy} || exit 0; sleep 0.2; done; exit 1")


def wrote(dom0: Dom0, name: str, words: str, path: str = "/mnt/a/mark") -> None:
    dom0.ask(name, f"^wrote {path}", f"write {path} {words}")


def reads(dom0: Dom0, name: str, path: str = "/mnt/a/mark") -> str:
    """Return what a guest has on its disk, not in its memory."""
    dom0.ask(name, "^sh", "sh echo 3 > /proc/sys/vm/drop_caches")
    return dom0.ask(name, f"^read {path}", f"read {path}").partition(" ")[2].split(" ", 2)[2].strip()


def identities(dom0: Dom0, name: str) -> tuple[str, ...]:
    """Return what no two guests may have in common: uuid, MAC, generation id, display, disks."""
    domid, domain = dom0.domid(name), f"/local/domain/{dom0.domid(name)}"
    said = dom0.run(
        f"xenstore-read /local/domain/0/backend/vif/{domid}/0/mac {domain}/platform/generation-id {domain}/console/vnc-port; "
        f"xl block-list {name} | tail -n +2 | while read _ _ _ _ _ _ path; do xenstore-read $path/params; done"
    )
    return dom0.uuid(name), *said.stdout.split()


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.soak)])
def test_guests_from_one_checkpoint(dom0: Dom0, count: int) -> None:
    names = NAMES[:count]
    with alone(dom0):
        wrote(dom0, "disk", "origin")
        dom0.run(f"pyxl save disk {FILE}.0; pyxl restore --set ms_vm_genid='\"generate\"' --set vnc=1 {FILE}.0")
        before = dom0.tick("disk")
        dom0.pyxl(f"save disk {FILE}")
        traces, sums = dom0.run(TRACES).stdout, dom0.run(f"sha256sum {ORIGINS}").stdout

        dry = dom0.pyxl(f"restore -n --name other --new-identity --mac 00:16:3e:01:02:03 {FILE}").stdout
        assert "c_info.name: disk -> other\n" in dry and "-> 00:16:3e:01:02:03\n" in dry and "c_info.uuid" in dry
        assert "--set vcpus: it would change what the guest has" in dom0.refused(f"restore --set vcpus=4 {FILE}")
        said = dom0.refused(f"clone --count 30 {FILE} lab")
        assert "30 guests need" in said and "room for" in said
        assert dom0.run(TRACES).stdout == traces

        said = dom0.pyxl(f"clone --count {count} {FILE} lab", timeout=600).stdout
        assert said.count("started") == count + 1  # and the totals
        found = [identities(dom0, name) for name in names]
        for own in zip(*found, strict=True):
            assert len(set(own)) == count, own
        for name in names:
            after = dom0.tick(name)
            assert after.hash == before.hash and after.counter > before.counter
            wrote(dom0, name, f"of {name}")
        for name in names:
            assert reads(dom0, name) == f"of {name}"
        assert dom0.run(f"sha256sum {ORIGINS}").stdout == sums
        assert "reads (/var/lib/pyxl-lab/disk-hda.raw)" in dom0.refused(f"restore {FILE}")

        reverted(dom0, before)
        dom0.pyxl(f"clone --discard {' '.join(names)}")
        assert dom0.run(TRACES).stdout == traces
        assert dom0.run(f"sha256sum {ORIGINS}").stdout == sums
        dom0.pyxl(f"restore {FILE}")
        assert dom0.tick("disk").hash == before.hash


def reverted(dom0: Dom0, before: Tick) -> None:
    """One goes back to where it started; the others go on."""
    uuid, other = dom0.uuid("lab-1"), dom0.domid("lab-2")
    wrote(dom0, "lab-1", "to be forgotten")
    later = dom0.tick("lab-1").counter
    assert "reverted" in dom0.pyxl("revert lab-1").stdout
    after = dom0.tick("lab-1")
    assert (after.hash, dom0.uuid("lab-1")) == (before.hash, uuid) and after.counter <= later
    assert reads(dom0, "lab-1") == "origin"
    assert dom0.domid("lab-2") == other and reads(dom0, "lab-2") == "of lab-2"


XFS, POOL = "/mnt/xfs", "/dev/pool"


@contextmanager
def stores(dom0: Dom0) -> Iterator[None]:
    """Have a file system that shares blocks, and a group of volumes with a thin pool; both on loop devices."""
    dom0.run(
        # The lab's dom0 has no udevd, which lvcreate would wait for.
        "set -e; printf 'activation {\\n udev_sync = 0\\n udev_rules = 0\\n}\\n' > /etc/lvm/lvmlocal.conf; "
        f"truncate -s 400M /root/xfs.img /root/pool.img; mkfs.xfs -q /root/xfs.img; mkdir -p {XFS}; "
        f"mount -o loop /root/xfs.img {XFS}; vgcreate -q pool $(losetup -f --show /root/pool.img); "
        "timeout 30 lvcreate -q -T -L 200M pool/thin; timeout 30 lvcreate -q -T -V 64M -n hda pool/thin"
    )
    try:
        yield
    finally:
        dom0.run(
            f"umount {XFS}; rmdir {XFS}; vgremove -q -f -y pool; "
            "losetup -j /root/pool.img | cut -d: -f1 | xargs -r losetup -d; rm -f /root/xfs.img /root/pool.img",
            check=False,
        )


@pytest.mark.soak
def test_a_running_guest_is_cloned_and_goes_on(dom0: Dom0) -> None:
    """One disk is a thin volume, the other a qcow2 file on XFS; the guest's own are left to themselves."""
    with alone(dom0), stores(dom0):
        wrote(dom0, "disk", "origin")
        dom0.run(
            f"set -e; pyxl save disk {FILE}; dd if=/var/lib/pyxl-lab/disk-hda.raw of={POOL}/hda bs=1M conv=fsync status=none; "
            f"cp /var/lib/pyxl-lab/disk-hdb.qcow2 {XFS}/disk-hdb.qcow2; "
            f"pyxl restore --disk hda={POOL}/hda --disk hdb={XFS}/disk-hdb.qcow2 {FILE}"
        )
        before, traces = dom0.tick("disk"), dom0.run(TRACES).stdout
        wrote(dom0, "disk", "later")
        killed(dom0)
        dom0.pyxl("clone --count 2 disk lab", timeout=600)
        went_on = dom0.tick("disk")
        assert went_on.hash == before.hash and went_on.counter > before.counter
        wrote(dom0, "disk", "of the origin")
        for name in NAMES[:2]:
            assert dom0.tick(name).hash == before.hash
            assert reads(dom0, name) == "later"
            wrote(dom0, name, f"of {name}")
            wrote(dom0, name, f"of {name}", "/mnt/b/mark")
        assert [reads(dom0, name) for name in ("disk", *NAMES[:2])] == ["of the origin", "of lab-1", "of lab-2"]
        dom0.pyxl("revert lab-2")
        assert reads(dom0, "lab-2") == "later"
        dom0.pyxl("clone --discard lab-1 lab-2")
        assert dom0.run(TRACES).stdout == traces
        assert reads(dom0, "disk") == "of the origin"


def killed(dom0: Dom0) -> None:
    """Killed while the guest is away: its monitor has it go on, or `recover`; and what was made goes."""
    dom0.run(
        "setsid pyxl clone disk lab > /root/clone.log 2>&1 & until grep -qs MEMORY /var/lib/xen/pyxl/*; do sleep 0.05; done; "
        "kill -9 $!; sleep 1"
    )
    dom0.pyxl("recover")
    dom0.wait_for_log("disk", "guest resumed")
    dom0.pyxl("clone --discard lab")
    dom0.tick("disk")


@pytest.mark.soak
@pytest.mark.parametrize("rounds", [300])
def test_reverts_leave_nothing(dom0: Dom0, rounds: int) -> None:
    """In turns with the shell script around xl; what each took is printed."""
    with alone(dom0):
        dom0.run(f"pyxl save disk {FILE}")
        traces = dom0.run(TRACES).stdout
        dom0.put("/root/reverts.sh", Path(__file__).with_name("reverts.sh").read_bytes())
        said = dom0.run(f"sh /root/reverts.sh {rounds} {FILE}", timeout=30 * rounds + 120).stdout
        took: dict[str, list[float]] = {"xl": [], "pyxl": []}
        for tool, begun, ended in map(str.split, said.splitlines()):
            took[tool].append(float(ended) - float(begun))
        assert len(took["pyxl"]) == rounds
        print({tool: (round(median(seconds), 2), round(max(seconds), 2)) for tool, seconds in took.items()})
        assert dom0.run(TRACES).stdout == traces
        dom0.pyxl(f"restore {FILE}")
        dom0.tick("disk")


@pytest.mark.soak
def test_a_sandbox_has_each_line_run_in_a_fresh_guest(dom0: Dom0) -> None:
    """The example: what one line has written is seen in the memory, and is not there for the next."""
    traces = dom0.run(TRACES).stdout
    program = "python3 /opt/pyxl/conf-examples/sandbox/sandbox.py /var/lib/pyxl-lab/tick.checkpoint box"
    writes = "sh dd if=/dev/urandom of=/run/x bs=1M count=8 2>/dev/null; echo done"
    said = dom0.run(f"{program} {shlex.quote(writes)} 'sh cat /run/x || echo nothing'").stdout
    first, second = map(json.loads, said.splitlines())
    assert first["said"].endswith("sh done") and second["said"].endswith("sh nothing")
    assert first["changed"] > 2048 > second["changed"] > 0
    assert dom0.run(TRACES).stdout == traces
