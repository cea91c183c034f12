"""Copies of real files; file systems that share blocks, and LVM, are for the lab."""

import os
import sys
from pathlib import Path

import pytest

from pyxl.disks import disk
from pyxl.disks.disk import Disk, call
from pyxl.disks.ways import fitting, way
from pyxl.errors import PyxlError, UsageError

CONTENT = os.urandom(1 << 16)


@pytest.fixture
def origin(tmp_path: Path) -> Disk:
    file = tmp_path / "web1.raw"
    file.write_bytes(CONTENT)
    return Disk(file, "raw")


def content(copied: Disk) -> bytes:
    """Return what a guest reads."""
    raw = copied.path.with_suffix(".read")
    call("qemu-img", "convert", "-f", copied.format, "-O", "raw", str(copied.path), str(raw), needs="qemu-utils")
    return raw.read_bytes()


@pytest.mark.parametrize(("name", "path"), [("qcow2", "lab-1.qcow2"), ("copy", "lab-1.raw")])
def test_a_copy_is_as_the_disk_and_goes_again(origin: Disk, name: str, path: str) -> None:
    target = way(name).target(origin, "web1", "lab-1")
    assert target.path == origin.path.with_name(path)
    way(name).make(origin, target)
    assert content(target) == CONTENT
    way(name).remove(target)
    way(name).remove(target)
    assert not target.path.exists() and origin.path.read_bytes() == CONTENT


def test_an_overlay_of_an_overlay(origin: Disk) -> None:
    first = way("qcow2").target(origin, "web1", "lab-1")
    second = way("qcow2").target(first, "lab-1", "lab-2")
    way("qcow2").make(origin, first)
    way("qcow2").make(first, second)
    assert content(second) == CONTENT


def test_a_hook(origin: Disk, tmp_path: Path) -> None:
    program = tmp_path / "hook"
    program.write_text(
        "#!/bin/sh -e\necho \"$*\" >> \"$0.log\"\ncase $1 in\ntarget) echo \"${2%/*}/$5.raw\" ;;\nmake) cp \"$2\" \"$4\" ;;\n"
        "remove) rm -f \"$2\" ;;\nesac\n"
    )
    program.chmod(0o755)
    hook = way(f"hook:{program}")
    target = hook.target(origin, "web1", "lab-1")
    hook.make(origin, target)
    assert content(target) == CONTENT
    hook.remove(target)
    assert (tmp_path / "hook.log").read_text().splitlines() == [
        f"target {origin.path} raw web1 lab-1", f"make {origin.path} raw {target.path}", f"remove {target.path}",
    ]  # fmt: skip
    program.write_text("#!/bin/sh\necho no/path\n")
    with pytest.raises(PyxlError, match="one line with an absolute path was expected"):
        hook.target(origin, "web1", "lab-1")


def test_a_file_system_that_shares_no_blocks(tmp_path: Path) -> None:
    """In memory: tmpfs has no reflinks."""
    file = Path("/dev/shm") / f"pyxl-{os.getpid()}.raw"
    file.write_bytes(CONTENT)
    try:
        origin = Disk(file, "raw")
        assert fitting(origin, base_stays=True).name == "qcow2"
        with pytest.raises(PyxlError, match="its file system cannot share blocks"):
            fitting(origin, base_stays=False)
        target = way("reflink").target(origin, "web1", "lab-1")
        with pytest.raises(PyxlError, match=f"{target.path} cannot be a copy"):
            way("reflink").make(origin, target)
        way("reflink").remove(target)
    finally:
        file.unlink()


@pytest.mark.parametrize("name", ["hook:relative", "btrfs", ""])
def test_no_way(name: str) -> None:
    with pytest.raises(UsageError, match="a way to copy disks is auto, reflink, qcow2, lvm, copy or hook:/PROGRAM"):
        way(name)


def test_a_program_that_is_missing_fails_or_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PyxlError, match="/nowhere/lvcreate is not installed"):
        call("/nowhere/lvcreate", needs="lvm2")
    with pytest.raises(PyxlError, match=r"qemu-img: Could not open '/nowhere/x'"):
        call("qemu-img", "info", "/nowhere/x", needs="qemu-utils")
    with pytest.raises(PyxlError, match=r"took longer than 0 s, and was ended"):
        call(sys.executable, "-c", "import time; time.sleep(60)", needs="python3", seconds=0.2)
    assert disk.SECONDS >= 60
