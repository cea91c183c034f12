"""Every refusal of a target: its message, its remedy, and that nothing was touched."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.ops import preflight_target
from pyxl.ops.preflight_disks import under
from pyxl.ops.preflight_target import can_be_written
from tests.fakes.host import CONFIG, UUID, FakeStore, FakeXen, running, web1


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(web1())


def check(
    store: FakeStore, target: Path, memory: int = 1 << 20, *, destroys: bool = True, force: bool = False
) -> list[str]:
    xen = FakeXen([], running())
    before = dict(store.nodes)
    try:
        return can_be_written(xen, store, target, memory, destroys=destroys, force=force)
    finally:
        assert (store.nodes, xen.calls) == (before, [])


@pytest.mark.parametrize(
    ("place", "said"),
    [(lambda base: base / "no" / "where", "there is no directory"), (lambda base: base, "is a directory")],
)
def test_a_target_that_is_none(store: FakeStore, tmp_path: Path, place: Callable[[Path], Path], said: str) -> None:
    with pytest.raises(PyxlError, match=said) as caught:
        check(store, place(tmp_path))
    assert caught.value.hint


def test_a_target_that_cannot_be_written_to(store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PyxlError, match=f"{tmp_path} cannot be written to: its permissions or attributes forbid it"):
        check(store, tmp_path / "x")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(PyxlError, match=f"{pipe} cannot be written to"):
        check(store, pipe)


def test_too_little_room_unless_forced(store: FakeStore, tmp_path: Path) -> None:
    with pytest.raises(PyxlError, match="the checkpoint needs up to") as caught:
        check(store, tmp_path / "x", 1 << 60)
    assert "Make room" in caught.value.hint and "`--force` passes over this check" in caught.value.hint
    [said] = check(store, tmp_path / "x", 1 << 60, force=True)
    assert said.startswith("passed over by --force: ") and "the checkpoint needs up to" in said


def test_a_compressed_file_may_need_less_room(store: FakeStore, tmp_path: Path) -> None:
    xen = FakeXen([], running())
    [said] = can_be_written(xen, store, tmp_path / "x", 1 << 60, destroys=True, force=False, compressed=True)
    assert said.startswith(f"{tmp_path} has ") and said.endswith(" MiB where it cannot be compressed")
    assert can_be_written(xen, store, tmp_path / "x", 1, destroys=True, force=False, compressed=True) == []


def test_a_limit_on_the_size_of_files(store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (10 << 20, -1))
    with pytest.raises(PyxlError, match="no file may be larger than 10 MiB here, the checkpoint needs up to 17 MiB"):
        check(store, tmp_path / "x")


def test_a_device_that_keeps_nothing(store: FakeStore) -> None:
    with pytest.raises(PyxlError, match="/dev/null keeps nothing: the guest would be gone") as caught:
        check(store, Path("/dev/null"))
    assert "`-c`" in caught.value.hint
    assert check(store, Path("/dev/null"), destroys=False) == []


def test_a_pipe_needs_no_room(store: FakeStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert check(store, tmp_path / "pipe", 1 << 60) == []


def test_a_file_system_that_does_not_know_its_room(
    store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ramfs, and some of FUSE."""
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255)))
    assert check(store, tmp_path / "x", 1 << 60) == []


@pytest.mark.parametrize("params", ["{}", "qcow2:{}", "aio:{}"])
def test_a_disk_of_a_domain_is_no_target(store: FakeStore, tmp_path: Path, params: str) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"data")
    store.write(f"{paths.backends('vbd')}/7/51712/params", params.format(disk))
    link = tmp_path / "link"
    link.symlink_to(disk)
    for name in (disk, link):
        with pytest.raises(PyxlError, match=f'{name} is a disk of domain 7 "web1"'):
            check(store, name)
    assert check(store, tmp_path / "other") == []


@pytest.mark.parametrize(
    ("what", "config"),
    [
        ("kernel", {"kernel": "{}"}),
        ("ramdisk", {"ramdisk": "{}"}),
        ("system_firmware", {"type.hvm": {"system_firmware": "{}"}}),
        ("serial", {"type.hvm": {"serial": "file:{}"}}),
    ],
)
def test_a_file_of_a_domain_is_no_target(
    store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, config: object
) -> None:
    monkeypatch.setattr(paths, "LIB_DIRECTORY", str(tmp_path))
    file = tmp_path / "file"
    file.touch()
    kept = json.dumps({**CONFIG, "b_info": config}).replace("{}", str(file)) + "\0"
    Path(paths.libxl_config(7, UUID)).write_text(kept)
    with pytest.raises(PyxlError, match=f'{file} is the {what} of domain 7 "web1"'):
        check(store, file)
    other = tmp_path / "old checkpoint"
    other.touch()
    assert check(store, other) == []


def test_a_log_of_a_domain_is_no_target(store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LOG_DIRECTORY", str(tmp_path))
    log = tmp_path / "qemu-dm-web1.log"
    log.touch()
    with pytest.raises(PyxlError, match='is the log of domain 7 "web1"'):
        check(store, log)


def test_a_file_system_that_a_domain_has_too(store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a file that is a domain's disk; a file in it would be overwritten."""
    disk, mounted = tmp_path / "disk.raw", tmp_path / "mounted"
    disk.touch()
    mounted.mkdir()
    status = disk.stat()
    monkeypatch.setattr(preflight_target, "under", lambda device: [(False, status.st_dev, status.st_ino)])
    store.nodes[f"{paths.backends('vbd')}/9/768/params"] = str(disk)
    store.nodes[paths.name(9)] = "other"
    with pytest.raises(PyxlError, match=rf'{mounted} is on a disk of domain 9 "other" \({disk}\)'):
        check(store, mounted / "checkpoint")


def test_what_a_device_is_made_of(tmp_path: Path) -> None:
    """A volume on a partition of a loop device of a file."""
    file = tmp_path / "file"
    file.touch()
    whole, part, volume = (tmp_path / name for name in ("loop0", "loop0/loop0p1", "dm-0"))
    part.mkdir(parents=True)
    (whole / "loop").mkdir()
    (volume / "slaves").mkdir(parents=True)
    (whole / "loop/backing_file").write_text(f"{file}\n")
    (part / "partition").write_text("1\n")
    (volume / "slaves/loop0p1").symlink_to(part)
    for place, number in ((whole, "7:0"), (part, "259:0"), (volume, "253:0")):
        (place / "dev").write_text(f"{number}\n")
        (tmp_path / number).symlink_to(place)
    found = [
        (os.major(device), os.minor(device))
        for is_device, device, _ in under(os.makedev(253, 0), tmp_path)
        if is_device
    ]
    assert found == [(253, 0), (259, 0), (7, 0)]
    assert (False, file.stat().st_dev, file.stat().st_ino) in set(under(os.makedev(253, 0), tmp_path))
