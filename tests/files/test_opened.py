"""A legacy checkpoint is looked at like the current one that it is converted to, page by page and fault by fault."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyxl.cli.app import pyxl
from pyxl.errors import PyxlError
from pyxl.files import extract
from pyxl.files.convert import convert_file
from pyxl.files.diff import diff
from pyxl.files.inspect import inspect
from pyxl.files.verify import verify
from pyxl.formats.stream.finding import BROKEN, UNKNOWN
from pyxl.model.report import Report
from tests.formats.legacy import streams

#: Its HVM context is none.
BARE = streams.GUESTS["hvm bare"]
CONFIG = b'name = "old"\nbuilder = "hvm"\nmemory = 128\nuuid = "6b1d9b2e-0000-4000-8000-000000000001"\n'


def write(path: Path, guest: streams.Guest) -> Path:
    path.write_bytes(streams.file(guest.encode(), CONFIG))
    return path


@pytest.mark.parametrize("guest", [guest for guest in streams.GUESTS.values() if guest is not BARE])
def test_it_looks_as_its_conversion_does(tmp_path: Path, guest: streams.Guest) -> None:
    old, new = write(tmp_path / "old", guest), tmp_path / "new"
    convert_file(old, new, Report())
    found = diff(old, new)
    assert found.is_same and found.pages == diff(new, new).pages
    one, other = inspect(old, contents=True), inspect(new, contents=True)
    assert one.errors == other.errors == []
    assert one.guest == other.guest and one.config == other.config
    seen, streamed = (
        [(record.name, record.length, record.content) for record in each.records if record.layer in ("libxl", "libxc")]
        for each in (one, other)
    )
    assert seen == streamed
    for elf in (False, True):
        extract.memory(old, tmp_path / "a", elf)
        extract.memory(new, tmp_path / "b", elf)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_verify_says(tmp_path: Path) -> None:
    old = write(tmp_path / "old", streams.GUESTS["hvm 64"])
    verdict = verify(old)
    assert verdict.legacy and verdict.worst is UNKNOWN
    result = CliRunner().invoke(pyxl, ["verify", str(old)], standalone_mode=False)
    assert result.output == f"{old}: framing is whole, no checksums (of Xen 4.2 to 4.5, seen as converted)\n"
    assert result.return_value == 3


@pytest.mark.parametrize("cut", [1, 9, 60, 5000, 15000])
def test_a_cut_one_is_shown_up_to_its_fault(tmp_path: Path, cut: int) -> None:
    old = write(tmp_path / "old", streams.GUESTS["hvm 64"])
    data = old.read_bytes()
    old.write_bytes(data[:-cut])
    assert verify(old).worst is BROKEN
    [said] = inspect(old).errors
    assert "too early (at byte" in said or "ends within it (at byte" in said
    assert int(said.split("at byte ")[1].split(")")[0]) <= len(data) - cut
    with pytest.raises(PyxlError, match="at byte"):
        diff(old, old)


def test_bytes_behind_it(tmp_path: Path) -> None:
    old = write(tmp_path / "old", streams.GUESTS["hvm 64"])
    old.write_bytes(old.read_bytes() + b"more")
    assert "bytes behind the legacy stream" in inspect(old).errors[0]


def test_devices_of_qemu_traditional_are_left_out_and_said(tmp_path: Path) -> None:
    old = write(tmp_path / "old", streams.Hvm(state=streams.TRADITIONAL_STATE))
    found = inspect(old)
    assert found.errors == [] and "only --skip-device-state restores it" in found.legacy
    result = CliRunner().invoke(pyxl, ["inspect", "--json", str(old)], standalone_mode=False)
    assert json.loads(result.output)["legacy"] == found.legacy
    with pytest.raises(PyxlError, match="qemu-traditional"):
        extract.device_state(old, tmp_path / "state")
    extract.memory(old, tmp_path / "memory", elf=False)
    assert (tmp_path / "memory").read_bytes()[:4096] == bytes(4096)
