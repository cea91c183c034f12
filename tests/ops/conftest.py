"""Journals of the chains under test go to a directory of the test's own, and nobody waits for another's destroy."""

from pathlib import Path

import pytest

from pyxl.model import paths
from pyxl.ops import destroy


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("xen") / "pyxl"
    directory.mkdir()
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(directory))
    return directory


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destroy, "OTHER_SECONDS", 0.2)
