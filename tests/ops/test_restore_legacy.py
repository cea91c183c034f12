"""Restore of a legacy checkpoint, with the real converter in its own process."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.errors import OperationError, XenError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Store
from pyxl.model.report import Report
from pyxl.ops import programs
from pyxl.ops.checkpoint import open_checkpoint
from pyxl.ops.restore import Restored, restore
from tests.fakes.host import FakeStore, FakeXen
from tests.formats.legacy import streams as made
from tests.formats.legacy.streams import Hvm, batch
from tests.formats.legacy.test_convert import converted
from tests.formats.stream import streams

GUEST = Hvm(batches=[batch(*range(1, 1025))] * 3)
OLD = made.file(GUEST.encode(), streams.CONFIG, is_json=True)
TRADITIONAL = made.file(Hvm(state=made.TRADITIONAL_STATE).encode(), streams.CONFIG, is_json=True)


class ReadingXen(FakeXen):
    """A hypervisor whose libxl reads all of the stream, or gives up after ``gives_up_after`` bytes."""

    gives_up_after: int | None = None

    def restore(self, config_json: str, fd: int, helper: str, engine: str) -> int:
        super().restore(config_json, fd, helper, engine)
        self.read = b""
        while part := os.read(fd, 1 << 20):
            self.read += part
            if self.gives_up_after is not None and len(self.read) > self.gives_up_after:
                raise XenError("libxl_domain_create_restore", detail="out of memory")
            if self.read.endswith(bytes(8)) and len(self.read) == len(converted(GUEST.encode())):
                return 8  # like libxl, which reads nothing behind END
        raise XenError("libxl_domain_create_restore", detail="failed")


@pytest.fixture
def calls() -> list[str]:
    return []


def children() -> set[str]:
    """Return the pids of this process's children, zombies too."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(path.parent.name)
    return found


@pytest.fixture
def xen(calls: list[str]) -> Iterator[ReadingXen]:
    before = children()
    yield ReadingXen(calls)
    assert children() <= before  # no converter is left


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "old").write_bytes(OLD)
    return tmp_path / "old"


def no_dm(domain: DomainInfo, store: Store) -> None:
    """A host whose guests have no device model."""


def run(xen: FakeXen, path: Path, report: Report | None = None, **how: bool) -> Restored:
    with open_checkpoint(path, **how) as checkpoint:
        config = GuestConfig(checkpoint.header.config.decode(), str(path))
        return restore(xen, FakeStore({}), no_dm, checkpoint, config, report or Report())


def test_libxl_reads_what_the_converter_makes(xen: ReadingXen, calls: list[str], file: Path) -> None:
    done = run(xen, file)
    assert calls == ["restore web1", "unpause 8"]
    assert xen.read == converted(GUEST.encode())
    assert (done.domid, done.name, done.size) == (8, "web1", len(OLD))


def test_progress_is_how_far_the_file_was_converted(xen: ReadingXen, file: Path) -> None:
    passed = []

    class Watching(Report):
        interval = 0.001

        def progress(self, done: int, total: int) -> None:
            passed.append((done, total))

    run(xen, file, Watching())
    assert passed == sorted(passed)
    assert passed[-1] == (len(OLD), len(OLD))


@pytest.mark.parametrize("length", [300, 9000, len(OLD) - 1, len(OLD) + 1])
def test_a_file_that_is_not_whole_is_refused_before_anything_is_built(
    xen: ReadingXen, calls: list[str], file: Path, length: int
) -> None:
    file.write_bytes((OLD + b"x")[:length])
    with pytest.raises(OperationError, match=r"^restore \S+: check file: .*\(at byte \d+\)$"):
        run(xen, file)
    assert calls == []


def test_a_state_of_qemu_traditional_is_refused_before_anything_is_built(
    xen: ReadingXen, calls: list[str], file: Path
) -> None:
    file.write_bytes(TRADITIONAL)
    with pytest.raises(OperationError, match="check file: the device state is qemu-traditional's, which no current") as caught:
        run(xen, file)
    assert caught.value.hint.startswith("`--skip-device-state` ")
    assert calls == []


def test_devices_that_are_skipped_boot_afresh(xen: ReadingXen, file: Path) -> None:
    with pytest.raises(OperationError):  # this libxl waits for a longer stream
        file.write_bytes(TRADITIONAL)
        run(xen, file, skip_device_state=True)
    assert xen.read == converted(Hvm().encode(), skip_device_state=True)


def test_of_a_checkpoint_of_today_no_device_state_is_skipped(xen: ReadingXen, calls: list[str], file: Path) -> None:
    file.write_bytes(streams.checkpoint())
    with pytest.raises(OperationError, match="check file: only a legacy checkpoint's device state can be skipped"):
        run(xen, file, skip_device_state=True)
    assert calls == []


def from_pipe(xen: ReadingXen, data: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Restored:
    """Restore from a pipe as standard input; another process writes to it."""
    path = tmp_path / "sent"
    path.write_bytes(data)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        monkeypatch.setattr("pyxl.ops.checkpoint.STDIN", sender.stdout.fileno())
        return run(xen, Path("-"))


def test_a_pipe_is_converted_in_passing(
    xen: ReadingXen, calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert from_pipe(xen, OLD, monkeypatch, tmp_path).size == 0
    assert xen.read == converted(GUEST.encode())
    assert calls == ["restore web1", "unpause 8"]


def test_a_pipe_whose_config_names_qemu_traditional_is_refused_before_anything_is_built(
    xen: ReadingXen, calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = b'name = "web1"\nbuilder = "hvm"\ndevice_model_version = "qemu-xen-traditional"\n'
    with pytest.raises(OperationError, match="check file: the device state is qemu-traditional's"):
        from_pipe(xen, made.file(GUEST.encode(), config), monkeypatch, tmp_path)
    assert calls == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (OLD[:9000], r"page batch: the file ends within it \(at byte 9000\)"),
        (OLD[:-1], r"device state: the file ends within it"),
        (OLD + b"x", r"bytes behind the legacy stream"),
        (TRADITIONAL, r"the device state is qemu-traditional's, which no current qemu can load \(at byte \d+\)"),
    ],
)
def test_a_bad_pipe_s_guest_never_runs(
    xen: ReadingXen, calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(OperationError, match=said):
        from_pipe(xen, data, monkeypatch, tmp_path)
    assert calls == ["restore web1", "destroy 8"]
    assert xen.all == {}


def test_a_libxl_that_gives_up_says_why_itself(xen: ReadingXen, calls: list[str], file: Path) -> None:
    """The converter is then ended in mid-stream, and reports nothing."""
    xen.gives_up_after = 100
    with pytest.raises(OperationError, match=r"build: libxl_domain_create_restore: out of memory; domain 8 destroyed$"):
        run(xen, file)
    assert calls == ["restore web1", "destroy 8"]


def test_an_interrupt_ends_the_converter_and_the_half_built_domain(
    xen: ReadingXen, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipe's writer stalls, so both libxl and the converter wait."""
    reader, writer = os.pipe()
    os.write(writer, OLD[:9000])
    monkeypatch.setattr("pyxl.ops.checkpoint.STDIN", reader)

    class Impatient(Report):
        interval = 0.05

        def progress(self, done: int, total: int) -> None:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(OperationError, match=r"^restore -.*: build: interrupted; domain 8 destroyed$"):
        run(xen, Path("-"), Impatient())
    os.close(reader)
    os.close(writer)
    assert time.monotonic() - started < 5
    assert calls == ["restore web1", "destroy 8"]


def test_where_the_converter_fails_at_once_nothing_is_built(
    xen: ReadingXen, calls: list[str], file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (broken := tmp_path / "converter").write_text("#!/bin/sh\necho Traceback >&2\necho 'MemoryError: none' >&2\nexit 1\n")
    broken.chmod(0o755)
    find = programs.find
    monkeypatch.setattr(programs, "find", lambda name: str(broken) if name == programs.CONVERT_LEGACY else find(name))
    with pytest.raises(OperationError, match=r"build: the converter failed: MemoryError: none$"):
        run(xen, file)
    assert calls == []


