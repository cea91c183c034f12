"""Journals of the chains under test go to a directory of the test's own."""

from pathlib import Path

import pytest

from pyxl.model import paths


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("xen") / "pyxl"
    directory.mkdir()
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(directory))
    return directory
