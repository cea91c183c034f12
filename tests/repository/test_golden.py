"""The golden repository, of version 1: every later pyxl reads what is in it."""

import json
import shutil
from pathlib import Path

import pytest

from pyxl.files.convert import convert_file
from pyxl.files.verify import verify, verify_each
from pyxl.model.report import Report
from pyxl.repository.repository import Repository
from pyxl.repository.shares import shares
from tests.golden.make_repository import PLACE, SAID, content_sum

SUMS = json.loads(SAID.read_text())


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PLACE, tmp_path / "golden"))


def test_its_checkpoints_are_listed(golden: Path) -> None:
    found = list(shares(Repository(golden).all()))
    assert [(each.facts.number, each.facts.name, each.facts.saved, each.facts.pages, each.facts.new) for each in found] == [
        (1, "tick", "2026-11-25T16:16:08Z", 4, 2), (2, "disk", "2026-11-25T16:16:47Z", 4, 2),
        (3, "tick", "2026-11-25T17:16:08Z", 4, 1), (4, "web1", "2027-01-15T08:00:00Z", 882, 809),
        (5, "web1", "2027-01-15T09:00:00Z", 882, 3),
    ]  # fmt: skip
    assert [bool(each.shared) for each in found] == [True, False, True, True, True]
    assert not any(each.problem for each in found)


def test_nothing_is_wrong_with_them(golden: Path) -> None:
    verdicts = {str(path): verdict.findings for path, verdict in verify_each(golden)}
    assert verdicts == {f"{golden}@{number}": [] for number in SUMS}


@pytest.mark.parametrize("number", SUMS)
def test_each_comes_out_as_it_went_in(golden: Path, tmp_path: Path, number: str) -> None:
    assert content_sum(Path(f"{golden}@{number}")) == SUMS[number]
    convert_file(Path(f"{golden}@{number}"), tmp_path / "file", Report(), verb="export")
    assert content_sum(tmp_path / "file") == SUMS[number]
    assert verify(tmp_path / "file").findings == []
