"""`pyxl convert`: files and pipes both ways, its messages, and a target that is whole or unchanged."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyxl.formats.stream import xl_header
from tests.cli.test_cli import pyxl
from tests.formats.legacy import streams as made
from tests.formats.legacy.test_convert import converted
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes

ROOT = Path(__file__).parents[2]
STREAM = made.GUESTS["hvm 64"].encode()
OLD = made.file(STREAM, streams.CONFIG, is_json=True)
TEXT = b'name = "web2"\nuuid = "6b1d9b2e-0000-4000-8000-000000000002"\nbuilder = "hvm"\n'
TRADITIONAL = "the device state is qemu-traditional's, which no current qemu can load"
BY_STATE = made.file(made.Hvm(state=made.TRADITIONAL_STATE).encode(), TEXT)
BY_CONFIG = made.file(STREAM, TEXT + b'device_model_version = "qemu-xen-traditional"\n')


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "old").write_bytes(OLD)
    return tmp_path / "old"


def without_trailer(data: bytes) -> tuple[xl_header.XlHeader, bytes]:
    header = xl_header.parse(Bytes(data).take)
    return header, data[header.size : header.size + len(converted(STREAM))]


def test_a_file_becomes_one_that_verify_finds_whole(old: Path) -> None:
    new = old.with_name("new")
    done = pyxl("convert", str(old), str(new))
    assert (done.returncode, done.stdout[:-6]) == (0, f'converted {old} ("web1") to {new}: 17 KiB in ')
    assert done.stderr.splitlines() == ["converting …", "waiting for the disk …"]
    header, stream = without_trailer(new.read_bytes())
    assert (header.config, header.is_json, stream) == (streams.CONFIG, True, converted(STREAM))
    assert new.stat().st_mode & 0o777 == 0o600
    assert pyxl("verify", str(new)).stdout.startswith(f'{new}: whole: "web1", 17 KiB, saved ')
    again = pyxl("convert", "--skip-device-state", str(new), str(new)).stderr
    only = "only a legacy checkpoint can be converted from a pipe, or without its device state"
    assert again == f"pyxl: convert {new}: check file: {only}\n"


def test_pipes_both_ways(old: Path) -> None:
    """The same bytes come out, except for the time in the trailer."""
    old.write_bytes(made.file(STREAM, TEXT))
    command = [sys.executable, "-m", "pyxl", "convert", "--progress=none", "-", "-"]
    sender = subprocess.Popen(["cat", old], stdout=subprocess.PIPE)
    done = subprocess.run(command, stdin=sender.stdout, capture_output=True, cwd=ROOT)
    sender.wait()
    header, stream = without_trailer(done.stdout)
    assert (header.config, header.is_json, stream) == (TEXT, False, converted(STREAM))
    assert done.stderr.startswith(b'converted - ("web2") to standard output: 17 KiB in ')
    (new := old.with_name("new")).write_bytes(done.stdout)
    assert pyxl("verify", str(new)).returncode == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (OLD[:9000], "page batch: the file ends within it (at byte 9000)"),
        (OLD + b"x", f"bytes behind the legacy stream (at byte {len(OLD)})"),
        (BY_STATE, f"{TRADITIONAL} (at byte {BY_STATE.index(made.XL)})"),
        (BY_CONFIG, f"{TRADITIONAL} (at byte {BY_CONFIG.index(STREAM)})"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_file", [True, False])
def test_a_bad_one_leaves_the_target_as_it_was(old: Path, data: bytes, said: str, as_file: bool) -> None:
    """A file is checked whole before anything is written, a pipe only up to its config."""
    old.write_bytes(data)
    (new := old.with_name("new")).write_text("as it was")
    command = [sys.executable, "-m", "pyxl", "convert", "--progress=none", str(old) if as_file else "-", str(new)]
    sender = subprocess.Popen(["cat", old], stdout=subprocess.PIPE)
    done = subprocess.run(command, stdin=sender.stdout, capture_output=True, text=True, cwd=ROOT)
    sender.communicate()
    before = f"convert {old if as_file else '-'}: check file: {said}"
    where = before if as_file or data is BY_CONFIG else f"convert -: convert: {said}; nothing written"
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (1, "", f"pyxl: {where}")
    assert new.read_text() == "as it was"
    assert sorted(path.name for path in old.parent.iterdir()) == ["new", "old"]


def test_devices_that_are_skipped_take_the_config_with_them(old: Path) -> None:
    traditional = TEXT + b'device_model_version = "qemu-xen-traditional"\n'
    old.write_bytes(made.file(made.Hvm(state=made.TRADITIONAL_STATE).encode(), traditional))
    new = old.with_name("new")
    assert pyxl("convert", "--skip-device-state", str(old), str(new)).returncode == 0
    config = xl_header.parse(Bytes(new.read_bytes()).take).config
    assert config == traditional + b'\ndevice_model_version = "qemu-xen"\n'


def test_a_target_that_is_the_source_is_replaced_when_it_is_whole(old: Path) -> None:
    assert pyxl("convert", str(old), str(old)).returncode == 0
    assert pyxl("verify", str(old)).returncode == 0
