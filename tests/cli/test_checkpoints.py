"""`pyxl checkpoints`, `import` and `export`: what they print, for people and for programs, and how they refuse."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pyxl.cli.checkpoints_text import lines
from pyxl.formats.stream import trailer
from pyxl.repository.manifest import Facts
from pyxl.repository.repository import Repository
from pyxl.repository.shares import Share
from tests.cli.test_cli import pyxl
from tests.formats.stream import streams
from tests.golden.make_repository import PLACE

IDENTITY = trailer.identity("6b1d9b2e-0000-4000-8000-000000000001", "web1", 1795533611, "host", "4.17.7", "7.2.22")


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PLACE, tmp_path / "golden"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(streams.summed(streams.checkpoint(marked=True), IDENTITY))
    return tmp_path / "file"


def said(*arguments: str | Path) -> Any:
    done = pyxl(*map(str, arguments))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def refused(*arguments: str | Path) -> tuple[int, str]:
    done = pyxl(*map(str, arguments))
    assert done.stdout == "" and "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()[0]


def test_columns_are_aligned_and_a_last_line_sums_up() -> None:
    first = Facts(7, "u1", "web1", "2026-11-24T15:20:11Z", "host", "4.17.7", "0.5.0", 1, 1 << 17, 5, 9, "7.pack", 1.0, 1.25)
    other = first._replace(number=12, uuid="u2", name="database\x1b", freeze=None, pages=1 << 15)
    broken = Facts(13, "", "", "", "", "", "", 0, 0, 0, 0, "", 0)
    shown = list(lines([Share(first, "", 1 << 20, 0), Share(other, "", 99, 1 << 30), Share(broken, "the manifest is damaged", 9, 0)], 5 << 20))
    when = re.sub(r"\d", "9", "2026-11-24 15:20:11")
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", when, line) for line in shown] == [
        "No  Guest      Saved                 Memory      Own   Shared   Away  State",
        f" 7  web1       {when}  512 MiB  1.0 MiB      0 B  1.2 s  whole",
        f"12  database?  {when}  128 MiB     99 B  1.0 GiB      -  whole",
        "13  ?          ?                          ?      9 B      0 B      -  not whole: the manifest is damaged",
        "3 checkpoints of 2 guests, 1 not whole: 640 MiB of memory in 5.0 MiB",
    ]


def test_a_listing_and_one_of_a_guest(golden: Path) -> None:
    everything, as_said = pyxl("checkpoints", str(golden)), pyxl("checkpoints", "list", str(golden))
    assert everything.stdout == as_said.stdout and len(everything.stdout.splitlines()) == 7
    one = pyxl("checkpoints", str(golden), "tick").stdout.splitlines()
    assert [line.split()[:2] for line in one[1:-1]] == [["1", "tick"], ["3", "tick"]]
    assert one[-1].startswith("2 checkpoints of 1 guest: 32 KiB of memory in ")
    found = said("checkpoints", "--json", golden)
    assert [each["number"] for each in found] == [1, 2, 3, 4, 5]
    assert said("checkpoints", "--json", golden, found[0]["uuid"]) == [found[0], found[2]]
    assert found[4] == {
        "checkpoint": f"{golden}@5", "number": 5, "name": "web1", "uuid": "8d5b2a0e-0000-4000-8000-000000000001",
        "saved": "2027-01-15T09:00:00Z", "host": "host", "xen": "4.17.7", "pyxl": found[4]["pyxl"], "size": found[4]["size"],
        "pages": 882, "zero_pages": 73, "new_pages": 3,
        "own": sum((golden / each).stat().st_size for each in ("manifests/00000005.manifest", "packs/00000005.pack")),
        "shared": (golden / "packs/00000004.pack").stat().st_size,
        "seconds": 1.5, "freeze_seconds": 0.2, "whole": True, "problem": "",
    }  # fmt: skip


def test_a_listing_says_what_is_not_whole_and_is_no_failure(golden: Path) -> None:
    (golden / "packs" / "00000001.pack").unlink()
    (golden / "manifests" / "00000002.manifest").write_bytes(b"pyxl manifest\n{}")
    done = pyxl("checkpoints", str(golden))
    assert done.returncode == 0
    shown = done.stdout.splitlines()
    assert shown[1].endswith("not whole: pack 00000001.pack: No such file or directory")
    assert shown[2].endswith("not whole: the manifest is cut short")
    assert shown[-1].startswith("5 checkpoints of 2 guests, 3 not whole: ")
    assert [each["whole"] for each in said("checkpoints", golden, "--json")] == [False, False, False, True, True]


def test_what_goes_in_and_comes_out(file: Path, tmp_path: Path) -> None:
    repository, out = tmp_path / "repository", tmp_path / "out"
    done = pyxl("import", "--progress=none", str(file), str(repository))
    assert re.sub(r"\d+ B|[\d.]+ s", "…", done.stdout) == f'imported {file} ("web1") to {repository}@1: 2 of 3 pages are new, … in …\n'
    assert said("import", "--progress=none", "--json", file, repository) == said("checkpoints", "--json", repository)[1]
    found = said("export", "--progress=none", "--json", f"{repository}@latest", out)
    assert found | {"seconds": 0} == {
        "checkpoint": f"{repository}@2", "name": "web1", "file": str(out), "size": file.stat().st_size, "seconds": 0,
    }  # fmt: skip
    assert out.read_bytes() == file.read_bytes()
    exported = pyxl("export", f"{repository}@web1", str(out))
    assert exported.stdout.startswith(f'exported {repository}@2 ("web1") to {out}: 13 KiB in ')
    assert exported.stderr.splitlines() == ["converting …", "waiting for the disk …"]


def test_commands_take_one_of_a_repository(golden: Path) -> None:
    assert pyxl("verify", f"{golden}@3").stdout.startswith(f'{golden}@3: whole: "tick", 29 KiB, saved 2026-11-25 17:16:08 UTC on lab')
    every = pyxl("verify", str(golden))
    assert every.returncode == 0
    assert [line.split(": ")[0] for line in every.stdout.splitlines()] == [f"{golden}@{number}" for number in range(1, 6)]
    assert pyxl("diff", f"{golden}@1", f"{golden}@3").stdout.startswith("pages: 2 the same, 2 changed")
    assert json.loads(pyxl("inspect", "--json", f"{golden}@tick").stdout)["file"] == f"{golden}@3"
    assert pyxl("config", "show", f"{golden}@disk").stdout.startswith('type = "hvm"\nname = "disk"')
    assert len(pyxl("extract", "--page", "1", f"{golden}@4").stdout) == 4096


def test_verify_goes_on_behind_one_that_is_not_there(golden: Path) -> None:
    done = pyxl("verify", f"{golden}@77", f"{golden}@2")
    assert (done.returncode, done.stderr) == (1, "")
    first, second = done.stdout.splitlines()
    assert first == f"{golden}@77: broken: file: {golden} has no checkpoint 77 (at byte 0, unreadable)"
    assert second.startswith(f'{golden}@2: whole: "disk"')


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["checkpoints", "{file}"], 1, "pyxl: [Errno 20] Not a directory: '{file}/pyxl-repository'"),
        (["checkpoints", "{file}s"], 1, "pyxl: {file}s is no repository"),
        (["checkpoints", "{golden}", "nobody"], 1, "pyxl: {golden} has no checkpoint of nobody"),
        (["checkpoints", "remove", "{golden}"], 2, "pyxl: {golden} is no checkpoint, but all of a repository"),
        (["checkpoints", "remove", "{golden}@9"], 1, "pyxl: {golden} has no checkpoint 9"),
        (["checkpoints", "prune", "{golden}", "--keep", "often=3"], 2, "pyxl: 'often=3' keeps nothing: a rule is one of last, hourly, daily, weekly, monthly, yearly"),
        (["export", "{golden}@9", "-"], 1, "pyxl: {golden} has no checkpoint 9"),
        (["export", "{golden}@latest", "-"], 2, "pyxl: {golden} has checkpoints of disk, tick, web1: which is meant?"),
        (["export", "{file}", "-"], 2, "pyxl: {file} is no checkpoint of a repository"),
        (["inspect", "{golden}@web3"], 1, "pyxl: {golden} has no whole checkpoint for web3"),
        (["diff", "{golden}@1", "{golden}@9"], 2, "pyxl: {golden} has no checkpoint 9"),
        (["import", "/dev/null", "{file}"], 1, "pyxl: import /dev/null: open file: /dev/null is no file"),
    ],
)
def test_what_is_not_there_is_one_line(golden: Path, file: Path, arguments: list[str], status: int, line: str) -> None:
    filled = [each.format(golden=golden, file=file) for each in arguments]
    assert refused(*filled) == (status, line.format(golden=golden, file=file))


def test_checkpoints_are_removed_by_their_numbers(golden: Path) -> None:
    done = said("checkpoints", "remove", "--json", f"{golden}@1", f"{golden}@disk")
    assert (done["repository"], done["removed"]) == (str(golden), [1, 2])
    assert Repository(golden).numbers() == [3, 4, 5]
    left = sum(each.stat().st_size for where in ("packs", "manifests") for each in (golden / where).iterdir())
    assert done["size"] == left
    assert pyxl("verify", str(golden)).returncode == 0


def test_a_repository_is_thinned_out(golden: Path) -> None:
    done = pyxl("checkpoints", "prune", "--keep", "last=1", str(golden))
    assert done.stdout.startswith(f"{golden}: removed 2 checkpoints (1, 4), freed ")
    assert Repository(golden).numbers() == [2, 3, 5]
    assert pyxl("checkpoints", "prune", str(golden)).stdout.startswith(f"{golden}: removed 0 checkpoints, freed 0 B; ")
    assert pyxl("verify", str(golden)).returncode == 0
