"""`pyxl config`: checks, shows and compares configs where there is no Xen."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyxl.formats.stream import xl_header
from pyxl.formats.xlcfg.parse import parse
from tests.cli.test_cli import pyxl
from tests.oracle import normalise, xl

GOOD = 'name="g"\ntype="hvm"\nuuid="6b1d9b2e-0000-4000-8000-000000000001"\nmemory=64\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "g.cfg"


@pytest.mark.parametrize(("text", "status", "word"), [
    (GOOD, 0, "clean"), (GOOD + "hostname='h'", 1, "warnings"), (GOOD + "hostname='h'\nvcupz=1", 2, "errors"),
    ("import os", 2, "errors"), (GOOD + "vcpus=1;cpus='all,^0'", 0, "clean"), (GOOD + "vcpus=1;cpus='nodes:3'", 0, "clean"),
])  # fmt: skip
def test_check_says_how_bad_it_is(file: Path, text: str, status: int, word: str) -> None:
    file.write_text(text)
    done = pyxl("config", "check", "--json", str(file))
    assert done.returncode == status
    found: dict[str, Any] = json.loads(done.stdout)[0]
    assert found["file"] == str(file) and found["status"] == word
    assert bool(found["errors"]) == (status == 2)


def test_check_shows_line_and_mark_of_every_file(file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD + "vcupz=1\nhostname='\x1b[2J'\n")
    (tmp_path / "clean.cfg").write_text(GOOD)
    done = pyxl("config", "check", str(file), str(tmp_path / "clean.cfg"))
    assert done.stdout.splitlines() == [
        f'error: {file}:5:1: unknown option "vcupz" (did you mean "vcpus"?)', "    vcupz=1", "    ^",
        f'warning: {file}:6:1: "hostname" is ignored: today it is cmdline', "    hostname='?[2J'", "    ^",
        f"{tmp_path / 'clean.cfg'}: clean",
    ]  # fmt: skip
    assert done.returncode == 2


def test_check_of_what_needs_the_host(file: Path) -> None:
    file.write_text(GOOD + "vcpus=1;cpus='nodes:1'")
    assert pyxl("config", "check", "--cpus", "8", "--nodes", "2", str(file)).returncode == 0
    done = pyxl("config", "check", "--cpus", "8", str(file))
    assert done.returncode == 2 and f'error: {file}:5:14: "cpus": "nodes:1" leaves no CPU' in done.stdout
    assert pyxl("config", "check", "--cpus", "0", str(file)).returncode == 2
    assert pyxl("config", "show", str(file)).returncode == 2


def test_check_says_what_to_do(file: Path) -> None:
    for text, place, hint in (
        ("name='p'\nbuilder='linux'", (2, 9), 'Write type = "pv".'),
        ("name='p'", (None, None), 'For a fully virtualised guest, say type = "hvm".'),
        ("name='p'\nimport os", (2, 1), "xl.cfg has only `name = value`: write down what the program would have made."),
    ):
        file.write_text(text)
        error = json.loads(pyxl("config", "check", "--json", str(file)).stdout)[0]["errors"][0]
        assert (error["line"], error["column"], error["hint"]) == (*place, hint)
        assert pyxl("config", "check", str(file)).stdout.splitlines()[-1] == f"hint: {hint}"


def test_show_as_json_is_what_xl_prints(file: Path) -> None:
    file.write_text(GOOD + "vcpus=2;cpus='nodes:1'")
    shown = json.loads(pyxl("config", "show", "--json", "--cpus", "8", "--nodes", "4", str(file)).stdout)
    assert normalise(shown) == xl(file.read_bytes())


def test_show_writes_an_xl_cfg_of_a_file_and_of_a_checkpoint(file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD)
    document = parse([("f", GOOD)])
    (tmp_path / "checkpoint").write_bytes(xl_header.encode(json.dumps(document).encode()))
    for what in (file, tmp_path / "checkpoint"):
        assert parse([("again", pyxl("config", "show", str(what)).stdout)]) == document
    assert pyxl("config", "diff", str(file), str(tmp_path / "checkpoint")).returncode == 0


def test_diff_names_members(file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD)
    other = tmp_path / "other.cfg"
    other.write_text('name="g"\ntype="hvm"\nmemory=64\nvcpus=2\n')  # its uuid is made up, and does not count
    done = pyxl("config", "diff", str(file), str(other))
    assert done.stdout.splitlines() == [
        "b_info.avail_vcpus: nothing in A, [0, 1] in B", "b_info.max_vcpus: nothing in A, 2 in B",
    ]  # fmt: skip
    assert done.returncode == 1
    assert pyxl("config", "diff", str(file), str(tmp_path / "missing")).returncode == 2


def test_a_domain_needs_xen() -> None:
    done = pyxl("config", "show", "nosuch")
    assert done.returncode == 1 and "not a Xen host" in done.stderr
