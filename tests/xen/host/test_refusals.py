"""Bad input on a real host: one clear line, status not 0, nothing built, nothing left.  Faults are in faults/."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/checkpoint"

@pytest.fixture(scope="module")
def with_file(shared_dom0: Dom0) -> Dom0:
    """dom0 with a checkpoint of a guest that still runs, and one of a guest that does not."""
    shared_dom0.wake("tick")
    shared_dom0.pyxl(f"save -c tick {FILE}.taken")
    shared_dom0.run("sed 's/\"tick\"/\"tock\"/' /etc/xen/lab/tick.cfg > /root/tock.cfg")
    shared_dom0.pyxl(f"save -p tick {FILE}.free /root/tock.cfg")
    return shared_dom0


@pytest.fixture
def host(with_file: Dom0) -> Iterator[Dom0]:
    """dom0; afterwards it must have the same domains, each paused or running as before, and no file of ours."""
    before = with_file.domains()
    yield with_file
    assert with_file.domains() == before
    assert with_file.left_behind() == []


#: What is asked of pyxl, and what it says.
CASES = [
    ("save nosuch /root/x", 'pyxl: there is no domain "nosuch"'),
    ("save 4711 /root/x", 'pyxl: there is no domain "4711"'),
    ("save 0 /root/x", "pyxl: domain 0 is this host's control domain"),
    ("save big /no/such/place/x", 'pyxl: save \\d+ "big": preflight: there is no directory /no/such/place'),
    ("save big /root", 'pyxl: save \\d+ "big": preflight: /root is a directory'),
    ("save big /dev/shm/x/", 'pyxl: save \\d+ "big": preflight: '),
    ("save big /root/x", 'pyxl: save \\d+ "big": preflight: the domain is paused'),
    ("restore /no/such/file", "pyxl: restore /no/such/file: open file: No such file or directory"),
    ("restore /etc/passwd", "pyxl: restore /etc/passwd: check file: not a checkpoint"),
    ("restore /root", "pyxl: restore /root: check file: "),
    (f"restore {FILE}.taken", 'preflight: a domain named "tick" exists already'),
    (f"restore /no.cfg {FILE}.free", "pyxl: /no.cfg: No such file or directory"),
    ("create /no.cfg", "pyxl: /no.cfg: No such file or directory"),
    ("create", "pyxl create: create needs a config file"),
    ("destroy nosuch", 'pyxl: there is no domain "nosuch"'),
    ("domid nosuch", 'pyxl: there is no domain "nosuch"'),
    ("domname 4711", 'pyxl: there is no domain "4711"'),
    ("destroy 0", "pyxl: domain 0 is this host's control domain"),
    (f"restore /root/less.cfg {FILE}.free", "memory is 128 MiB in the checkpoint, and 64 MiB in the config"),
    (f"restore {FILE}.flag", r"check file: unknown mandatory flags 0x4 \(at byte 36\)"),
]
#: Lengths that a whole checkpoint is cut to.
CUTS = ["0", "40", "1000", "$((size / 2))", "$((size - 8))"]
#: Lines at the end of a good config.
CONFIGS = [
    ("memory = = 1", r"/root/x-\d.cfg:\d+:10: "),
    ("memroy = 128", r'/root/x-\d.cfg:\d+:1: unknown option "memroy"'),
    ('memory = "-1"', r"/root/x-\d.cfg:\d+:10: "),
    ('disk = ["/no/disk.raw,raw,hda,w"]', r'create "web1": preflight: disk hda is missing: /no/disk.raw'),
    ('kernel = "/no/vmlinuz"', r'create "web1": preflight: kernel is missing: /no/vmlinuz'),
    ("memory = 100000", r'create "web1": preflight: the guest needs \d+ MiB of memory, Xen has \d+ MiB free'),
    ('name = "big"', r'create "big": preflight: a domain named "big" exists already'),
]


@pytest.fixture(scope="module")
def said(with_file: Dom0) -> dict[str, str]:
    """What pyxl said to each case; nothing was built, and nothing is left."""
    before = with_file.domains()
    prepare = [
        f"cp {FILE}.free {FILE}.flag; printf '\\x07' | dd of={FILE}.flag bs=1 seek=36 conv=notrunc 2>/dev/null",
        "sed 's/\"tick\"/\"web1\"/; s/memory = 128/memory = 64/' /etc/xen/lab/tick.cfg > /root/less.cfg",
        f"size=$(stat -c %s {FILE}.free)",
        *(f"head -c {length} {FILE}.free > {FILE}.cut-{number}" for number, length in enumerate(CUTS)),
        *(f"(sed 's/\"tick\"/\"web1\"/' /etc/xen/lab/tick.cfg; echo {shlex.quote(line)}) > /root/x-{number}.cfg"
          for number, (line, _) in enumerate(CONFIGS)),
    ]  # fmt: skip
    with_file.run("; ".join(prepare))
    arguments = [
        *(arguments for arguments, _ in CASES),
        *(f"restore {FILE}.cut-{number}" for number in range(len(CUTS))),
        *(f"create /root/x-{number}.cfg" for number in range(len(CONFIGS))),
    ]
    # Two saves of one guest would meet.
    saves, others = ([each for each in arguments if each.startswith("save big") is is_one] for is_one in (True, False))
    half = (len(others) - len(saves)) // 2
    answers = with_file.refused_each([saves + others[:half], others[half:]])
    assert with_file.domains() == before
    assert with_file.left_behind() == []
    return answers


@pytest.mark.parametrize(("arguments", "expected"), CASES)
def test_one_clear_line(said: dict[str, str], arguments: str, expected: str) -> None:
    assert re.search(expected, said[arguments]), said[arguments]


@pytest.mark.parametrize("number", range(len(CUTS)), ids=CUTS)
def test_truncated_files(said: dict[str, str], number: int) -> None:
    text = said[f"restore {FILE}.cut-{number}"]
    assert f"pyxl: restore {FILE}.cut-{number}: check file: file ends" in text
    assert "too early (at byte" in text


@pytest.mark.parametrize(("number", "expected"), [(number, expected) for number, (_, expected) in enumerate(CONFIGS)])
def test_bad_configs(said: dict[str, str], number: int, expected: str) -> None:
    text = said[f"create /root/x-{number}.cfg"]
    assert re.search(expected, text), text


def test_a_guest_that_qemu_refuses_is_not_left_half_built(host: Dom0) -> None:
    """libxl builds it, qemu dies on a bad disk, libxl destroys it; the user sees the reason."""
    host.run("head -c 65536 /dev/urandom > /root/junk.qcow2")
    host.run("(sed 's/\"tick\"/\"web1\"/' /etc/xen/lab/tick.cfg; "
             "echo 'disk = [\"/root/junk.qcow2,qcow2,hda,w\"]') > /root/x.cfg")  # fmt: skip
    text = host.refused("create /root/x.cfg")
    assert text.startswith('pyxl: create "web1": build: libxl_domain_create_new: ')
    assert "device model" in text


def test_not_root(host: Dom0) -> None:
    result = host.run("chmod 755 /opt /opt/pyxl; setpriv --reuid=65534 --regid=65534 --clear-groups pyxl list", check=False)
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.splitlines()[0] == "pyxl: list needs root: only root may talk to the hypervisor"


def test_a_full_disk_is_seen_before_the_guest_is_touched(dom0: Dom0) -> None:
    before = dom0.wake("tick")
    dom0.run("mkdir -p /root/small && mount -t tmpfs -o size=64m tmpfs /root/small && echo old > /root/small/checkpoint")
    assert "/root/small has 63 MiB free, the checkpoint needs up to" in dom0.refused("save tick /root/small/checkpoint")
    assert dom0.run("cat /root/small/checkpoint; ls -A /root/small").stdout.split() == ["old", "checkpoint"]
    assert dom0.tick("tick").hash == before.hash


def test_missing_disk_at_a_restore(dom0: Dom0) -> None:
    dom0.wake("disk")
    dom0.pyxl(f"save disk {FILE}")
    dom0.run("mv /var/lib/pyxl-lab/disk-hdb.qcow2 /var/lib/pyxl-lab/away")
    assert "preflight: disk hdb is missing: /var/lib/pyxl-lab/disk-hdb.qcow2" in dom0.refused(f"restore {FILE}")
    assert "disk" not in dom0.domains()
    dom0.run("mv /var/lib/pyxl-lab/away /var/lib/pyxl-lab/disk-hdb.qcow2")
