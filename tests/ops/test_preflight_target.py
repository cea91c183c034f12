"""Every refusal of a target: its message, its remedy, and that nothing was touched."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.model import paths
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
