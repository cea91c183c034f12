"""Restore and create: what they refuse before they build anything, and what they undo afterwards."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxl.checkpoint.checked import CheckedFile
from pyxl.errors import OperationError, XenError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import libxl_v2, record, trailer, xl_header
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.engine import LIBXC
from pyxl.model.ports import Store
from pyxl.model.report import Report
from pyxl.ops import checkpoint, programs
from pyxl.ops.checkpoint import open_checkpoint
from pyxl.ops.create import create
from pyxl.ops.restore import Restored, restore
from pyxl.xen.toolstacks import Helper, Toolstacks
from tests.fakes.host import CONFIG, UUID, FakeStore, FakeXen, running, web1
from tests.formats.stream import streams

Config = dict[str, dict[str, object]]


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def xen(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> FakeXen:
    monkeypatch.setattr(programs, "find", lambda name: "/helper")
    return FakeXen(calls)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    path.write_bytes(streams.checkpoint())
    return path


def no_dm(domain: DomainInfo, store: Store) -> None:
    """A host whose guests have no device model."""


class Impatient(Report):
    """A user who interrupts a restore at its first progress."""

    interval = 0.01

    def progress(self, done: int, total: int) -> None:
        raise KeyboardInterrupt


def run(xen: FakeXen, store: FakeStore, path: Path, report: Report | None = None, **how: object) -> Restored:
    with open_checkpoint(path) as checkpoint:
        config = GuestConfig(checkpoint.header.config.decode(), str(path))
        return restore(xen, store, no_dm, checkpoint, config, report or Report(), **how)  # type: ignore[arg-type]


def test_restore_starts_the_monitor_before_the_guest_runs(xen: FakeXen, calls: list[str], file: Path) -> None:
    done = run(xen, FakeStore({}), file, start_monitor=lambda domid: calls.append(f"monitor {domid}"))
    assert calls == ["restore web1", "monitor 8", "unpause 8"]
    assert (done.domid, done.name, done.size) == (8, "web1", file.stat().st_size)


def test_restore_paused(xen: FakeXen, calls: list[str], file: Path) -> None:
    run(xen, FakeStore({}), file, paused=True)
    assert calls == ["restore web1"]


def test_the_fd_stands_at_the_stream(file: Path) -> None:
    with open_checkpoint(file) as checkpoint:
        assert os.lseek(checkpoint.stream.fd, 0, os.SEEK_CUR) == checkpoint.header.size
        assert os.read(checkpoint.stream.fd, 8) == b"LibxlFmt"


@pytest.mark.parametrize("length", [0, 40, 60, 1000, 5000])
def test_a_cut_file_is_refused_before_anything_is_built(xen: FakeXen, calls: list[str], file: Path, length: int) -> None:
    file.write_bytes(streams.checkpoint()[:length])
    with pytest.raises(OperationError, match=r"check file: file ends \d+ bytes too early \(at byte \d+\)"):
        run(xen, FakeStore({}), file)
    assert calls == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#!/bin/sh\n" * 9, "not a checkpoint"),
        (xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 7, 0, 0), "unknown mandatory flags 0x4"),
        (xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 1, 0, 0), "the head: the file ends within it"),
    ],
)
def test_what_is_no_checkpoint_is_refused(xen: FakeXen, calls: list[str], file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(OperationError, match=said):
        run(xen, FakeStore({}), file)
    assert calls == []


def test_no_such_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OperationError, match=r"^restore \S+nothing: open file: No such file or directory$"),
        open_checkpoint(tmp_path / "nothing"),
    ):
        pass


def config_with(change: Callable[[Config], None]) -> GuestConfig:
    document = json.loads(json.dumps(CONFIG))
    change(document)
    return GuestConfig(json.dumps(document), "test")


def test_name_taken(xen: FakeXen, calls: list[str], file: Path) -> None:
    xen.all[7] = running()
    with pytest.raises(OperationError, match=r'preflight: a domain named "web1" exists already \(domid 7\)'):
        run(xen, FakeStore(web1()), file)
    assert calls == []


def test_a_guest_that_runs_under_another_name(xen: FakeXen, calls: list[str], file: Path) -> None:
    """If it were built, and that failed, the undo would destroy the running one."""
    xen.all[7] = running()
    with pytest.raises(OperationError, match=rf'preflight: domain 7 "other" is this guest: it has its uuid, {UUID}'):
        run(xen, FakeStore({**web1(), paths.name(7): "other"}), file)
    assert calls == []


def test_a_name_that_only_a_dying_domain_left_behind_is_free(xen: FakeXen, file: Path) -> None:
    assert run(xen, FakeStore({paths.name(7): "web1"}), file).domid == 8


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("disks", [{"pdev_path": "/no/such/disk.raw", "vdev": "hda"}], "disk hda is missing: /no/such/disk.raw"),
        ("b_info", {"kernel": "/no/vmlinuz"}, "kernel is missing: /no/vmlinuz"),
        ("b_info", {"target_memkb": 1 << 40}, "needs 1073741826 MiB of memory, Xen has 1048576 MiB free"),
    ],
)
def test_create_refuses_what_the_host_cannot_hold(
    xen: FakeXen, calls: list[str], key: str, value: object, said: str
) -> None:
    config = config_with(lambda document: document.update({key: value}))  # type: ignore[dict-item]
    with pytest.raises(OperationError, match=said):
        create(xen, FakeStore({}), no_dm, config, Report())
    assert calls == []


@pytest.mark.parametrize(
    "disk",
    [
        {"pdev_path": "", "vdev": "hdc", "is_cdrom": 1},
        {"vdev": "hdc"},
        {"pdev_path": "iqn.2001-05:target", "vdev": "xvda", "script": "block-iscsi"},
        {"pdev_path": "/in/storage/domain", "vdev": "xvda", "backend_domname": "storage"},
    ],
)
def test_disks_that_are_no_files_here_are_left_to_libxl(xen: FakeXen, disk: dict[str, object]) -> None:
    config = config_with(lambda document: document.update({"disks": [disk]}))  # type: ignore[dict-item]
    assert create(xen, FakeStore({}), no_dm, config, Report()) == 8


@pytest.mark.parametrize(("sent", "gets"), [([*range(300)], 1200), ([*range(200), *range(200)], 96), ([*range(200)], 96)])
def test_a_guest_gets_the_memory_that_its_file_has(
    xen: FakeXen, file: Path, monkeypatch: pytest.MonkeyPatch, sent: list[int], gets: int
) -> None:
    """Of a live stream, which has pages more than once, each counts once."""
    built: list[dict[str, int]] = []
    real = xen.restore

    def restore(config: str, fd: int, helper: str, engine: str) -> int:
        built.append(json.loads(config)["b_info"])
        return real(config, fd, helper, engine)

    monkeypatch.setattr(xen, "restore", restore)
    records = streams.STATIC_DATA_END + streams.page_data(sent) + record.encode(0x09, streams.CONTEXT)
    config = streams.CONFIG.replace(b'"b_info": {}', b'"b_info": {"target_memkb": 96, "max_memkb": 96}')
    whole = streams.checkpoint(streams.libxc_stream(records=records))
    file.write_bytes(streams.xl_s_header(config) + whole[len(streams.xl_s_header()) :])
    run(xen, FakeStore({}), file)
    assert built[0]["target_memkb"] == gets


def test_a_pipe_that_nobody_writes_to(xen: FakeXen, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "WRITER_SECONDS", 0.02)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OperationError, match="pipe: open file: nobody has written to the pipe within 0 s"):
        run(xen, FakeStore({}), tmp_path / "pipe")
    assert calls == []


def test_create_order(xen: FakeXen, calls: list[str]) -> None:
    start_monitor = lambda domid: calls.append(f"monitor {domid}")  # noqa: E731
    create(xen, FakeStore({}), no_dm, config_with(lambda _: None), Report(), start_monitor=start_monitor)
    assert calls == ["create web1", "monitor 8", "unpause 8"]


@pytest.mark.parametrize("fails", ["monitor", "unpause"])
def test_a_domain_that_cannot_be_started_is_destroyed(xen: FakeXen, calls: list[str], fails: str) -> None:
    def start_monitor(domid: int) -> None:
        if fails == "monitor":
            raise OSError(11, "Resource temporarily unavailable")

    xen.fail = {fails}
    with pytest.raises(OperationError, match=rf'create "web1": {fails}: .*; domain 8 destroyed$'):
        create(xen, FakeStore({}), no_dm, config_with(lambda _: None), Report(), start_monitor=start_monitor)
    assert calls[-1] == "destroy 8"
    assert xen.all == {}


class Remarks(Report):
    def __init__(self) -> None:
        self.remarks: list[str] = []

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def test_a_whole_file_with_sums_is_restored_without_a_remark(xen: FakeXen, file: Path) -> None:
    file.write_bytes(streams.summed(streams.checkpoint(marked=True)))
    with open_checkpoint(file) as checkpoint:
        config = GuestConfig(checkpoint.header.config.decode(), str(file))
        report = Remarks()
        assert restore(xen, FakeStore({}), no_dm, checkpoint, config, report).domid == 8
    assert report.remarks == []


@pytest.mark.parametrize("is_xl_s", [True, False])
def test_a_file_without_sums_is_restored_with_a_remark(xen: FakeXen, file: Path, is_xl_s: bool) -> None:
    if not is_xl_s:
        file.write_bytes(streams.summed(streams.checkpoint(marked=True), algorithm=trailer.NONE))
    with open_checkpoint(file) as checkpoint:
        config = GuestConfig(checkpoint.header.config.decode(), str(file))
        report = Remarks()
        restore(xen, FakeStore({}), no_dm, checkpoint, config, report)
    assert len(report.remarks) == 1
    assert f"no checksums ({'xl wrote it' if is_xl_s else 'it was compressed'})" in report.remarks[0]


def test_a_compressed_file_is_restored_as_what_it_holds(
    xen: FakeXen, calls: list[str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = streams.summed(streams.checkpoint(marked=True), algorithm=trailer.NONE)
    file.write_bytes(streams.compressed(whole, 1000))
    report = Remarks()
    engines = []

    def restore(config_json: str, fd: int, helper: str, engine: str) -> int:
        engines.append(engine)
        return FakeXen.restore(xen, config_json, fd, helper, engine)

    monkeypatch.setattr(xen, "restore", restore)
    assert run(xen, FakeStore({}), file, report).size == len(whole)
    assert (calls, report.remarks) == (["restore web1", "unpause 8"], [])
    assert engines == [LIBXC]  # it comes through a pipe


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_cut_compressed_file_is_refused_before_anything_is_built(
    xen: FakeXen, calls: list[str], file: Path, part: float
) -> None:
    stored = streams.compressed(streams.checkpoint(), 1000)
    file.write_bytes(stored[: int(part * len(stored))])
    with pytest.raises(OperationError, match="check file: the file is compressed and its seek table is missing: the file was cut"):
        run(xen, FakeStore({}), file)
    assert calls == []


def test_a_compressed_file_whose_content_is_cut_is_refused_before_anything_is_built(
    xen: FakeXen, calls: list[str], file: Path
) -> None:
    file.write_bytes(streams.compressed(streams.checkpoint()[:-1], 1000))
    with pytest.raises(OperationError, match="check file: file ends 1 bytes too early"):
        run(xen, FakeStore({}), file)
    assert calls == []


@pytest.mark.parametrize("size", [0, 5 << 20])
def test_a_guest_whose_memory_is_not_what_was_saved_never_runs(
    xen: FakeXen, calls: list[str], tmp_path: Path, size: int
) -> None:
    """A bad block with the config is found before anything is built, a later one before the guest runs."""
    plain = streams.checkpoint(streams.libxc_stream(records=record.encode(0x8000_0001, bytes(size))), marked=True)
    data = bytearray(streams.summed(plain))
    data[len(plain) - 20] ^= 1
    path = tmp_path / "flipped"
    path.write_bytes(data)
    with pytest.raises(OperationError, match=r"block \d of \d is not what was saved: its sum differs"):
        run(xen, FakeStore({}), path)
    assert calls == (["restore web1", "destroy 8"] if size else [])
    assert xen.all == {}


def test_libxl_is_not_called_off_before_it_is_at_the_memory(
    xen: FakeXen, calls: list[str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()
    read: list[bytes] = []

    def restore(config_json: str, fd: int, helper: str, engine: str) -> int:
        """A libxl that begins to read only after it was told to give up."""
        FakeXen.restore(xen, config_json, fd, helper, engine)
        assert refused.wait(10)
        read.extend(os.read(fd, length) for length in (16, 8, 1 << 20))
        raise XenError("libxl_domain_create_restore", detail="failed")

    def cut(stream: CheckedFile) -> bool:
        done = whole_cut(stream)
        if not done:
            refused.set()
        return done

    whole_cut = CheckedFile.cut
    monkeypatch.setattr(CheckedFile, "cut", cut)
    monkeypatch.setattr(xen, "restore", restore)
    with pytest.raises(OperationError, match=r"build: interrupted; domain 8 destroyed$"):
        run(xen, FakeStore({}), file, Impatient())
    assert b"".join(read)[:24] == libxl_v2.start()
    assert calls == ["restore web1", "destroy 8"]


def test_a_helper_that_stands_still_is_ended(
    xen: FakeXen, calls: list[str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def restore(config_json: str, fd: int, helper: str, engine: str) -> int:
        """A libxl that waits for its helper even after the stream has ended."""
        FakeXen.restore(xen, config_json, fd, helper, engine)
        os.lseek(fd, 1000, os.SEEK_CUR)
        assert ended.wait(10)
        raise XenError("libxl_domain_create_restore", detail="failed")

    def end_helper(pid: int, domid: int) -> str:
        calls.append(f"end {pid} of {domid}")
        ended.set()
        return ""

    helpers = [Helper(70, 7, orphan=False), Helper(80, 8, orphan=False)]
    monkeypatch.setattr("pyxl.ops.create.HELPER_SECONDS", 0.05)
    monkeypatch.setattr("pyxl.ops.create.end_helper", end_helper)
    monkeypatch.setattr("pyxl.xen.toolstacks.look", lambda: Toolstacks(helpers, [], []))
    monkeypatch.setattr(xen, "restore", restore)
    with pytest.raises(OperationError, match=r"build: interrupted; domain 8 destroyed$"):
        run(xen, FakeStore({}), file, Impatient())
    assert calls == ["restore web1", "end 80 of 8", "destroy 8"]
