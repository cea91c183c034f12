"""`pyxl diff`: shows what differs between two checkpoints, and nothing else."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxl.cli.diff import document
from pyxl.cli.diff_text import lines
from pyxl.cli.words import printable
from pyxl.errors import PyxlError
from pyxl.files.diff import Range, diff
from pyxl.formats.stream import trailer, xl_header
from tests.cli.test_cli import pyxl
from tests.formats.stream import streams

PAGES = {gfn: bytes([gfn % 256]) * 4096 for gfn in range(0, 700)}
GUEST = streams.guest(streams.memory(PAGES))


@pytest.fixture
def a(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(GUEST)
    return tmp_path / "a"


@pytest.fixture
def b(tmp_path: Path) -> Path:
    return tmp_path / "b"


def answer(a: Path, b: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pyxl("diff", "--json", str(a), str(b)).stdout)
    return found


def test_the_same_guest_is_the_same_whenever_and_in_whatever_order_it_was_saved(a: Path, b: Path) -> None:
    halves = {gfn: PAGES[gfn] for gfn in range(350, 700)}, {gfn: PAGES[gfn] for gfn in range(350)}
    again = streams.guest(streams.memory({5: b"x" * 4096}), *map(streams.memory, halves))
    data = xl_header.encode(streams.CONFIG) + again[len(streams.xl_s_header()) :]
    b.write_bytes(streams.summed(data, trailer.Identity(saved="later")))
    done = pyxl("diff", str(a), str(b))
    assert (done.returncode, done.stdout) == (0, "pages: 700 the same\n")


def test_pages_that_changed_came_or_went_are_told_as_ranges(a: Path, b: Path) -> None:
    changed = {**PAGES, 7: b"x" * 4096, 8: b"y" * 4096, 300: b"z" * 4096, 1 << 20: b"n" * 4096}
    del changed[299], changed[699]
    b.write_bytes(streams.guest(streams.memory(changed)))
    found = diff(a, b, picture=True)
    assert found.pages == {"same": 695, "changed": 3, "only_a": 2, "only_b": 1}
    assert found.ranges == [
        Range("changed", 7, 2), Range("only_a", 299, 1), Range("changed", 300, 1), Range("only_a", 699, 1),
        Range("only_b", 1 << 20, 1),
    ]  # fmt: skip
    assert found.picture and found.picture.kinds == [("changed", 3), ("same", 695), ("only in one", 3)]
    done = pyxl("diff", str(a), str(b))
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == [
        "pages: 695 the same, 3 changed, 2 only in A, 1 only in B", "  gfn 0x7 to 0x8: changed",
    ]  # fmt: skip


def test_registers_params_config_and_device_state_are_told_by_name(a: Path, b: Path) -> None:
    context = streams.context()
    data = GUEST.replace(context, context.replace((0x1000).to_bytes(8, "little"), (0xF00).to_bytes(8, "little")))
    data = data.replace((0xFEFFC).to_bytes(8, "little"), (0xFEFFB).to_bytes(8, "little"))
    b.write_bytes(data.replace(b"web1", b"web2").replace(b"device state", b"device STATE"))
    found = answer(a, b)
    assert found["same"] is False and found["ranges"] == []
    assert {(each["name"], member["name"], member["a"], member["b"]) for each in found["records"] for member in each["members"]} == {
        ("HVM_CONTEXT", "CPU[0].rip", "0x1000", "0xf00"), ("HVM_PARAMS", "STORE_PFN", "0xfeffc", "0xfeffb"),
    }  # fmt: skip
    assert [each["name"] for each in found["records"]] == ["HVM_CONTEXT", "HVM_PARAMS", "EMULATOR_CONTEXT"]
    assert found["config"] == [{"name": "c_info.name", "a": "web1", "b": "web2"}]
    assert "  CPU[0].rip: 0x1000 in A, 0xf00 in B\n" in pyxl("diff", str(a), str(b)).stdout


def test_another_vcpu_is_told(a: Path, b: Path) -> None:
    b.write_bytes(streams.guest(streams.memory(PAGES), vcpus=2))
    (record,) = diff(a, b).records
    assert {member.name for member in record.members} == {"CPU[1]", "LAPIC[1]"}


def test_trouble_is_status_two(a: Path, b: Path) -> None:
    b.write_bytes(GUEST[:-1])
    for arguments in ((a, b), (b, a), (a, a.with_name("gone"))):
        done = pyxl("diff", *map(str, arguments))
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""


def test_the_page_is_the_picture_and_replaces_neither(a: Path, b: Path) -> None:
    b.write_bytes(streams.guest(streams.memory({**PAGES, 9: b"x" * 4096})))
    page = a.with_name("page")
    assert pyxl("diff", "--html", str(page), str(a), str(b)).returncode == 1
    shown = json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])
    assert shown["map"]["kinds"] == [["changed", 1], ["same", 699], ["only in one", 0]]
    assert shown["sections"][0]["rows"] == [["0x9", "1", "changed"]]
    assert pyxl("diff", "--html", str(b), str(a), str(b)).returncode == 2


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_mutated_files_are_answered(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    small = streams.guest(streams.memory({0: bytes(4096), 1: None, 2: b"x" * 4096}), vcpus=2)
    changed = bytearray(small)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 700) | st.integers(len(small) - 3000, len(small) - 8))
        changed[at : at + 4] = data.draw(st.sampled_from([0, 1, 0x7F, 1 << 31, (1 << 32) - 1])).to_bytes(4, "little")
    one, other = (tmp_path_factory.getbasetemp() / name for name in ("one", "other"))
    one.write_bytes(small)
    other.write_bytes(changed)
    with suppress(PyxlError):
        found = diff(one, other, picture=True)
        assert json.dumps(document(one, other, found)) and all(map(str.isprintable, map(printable, lines(found))))
