"""Journals of the chains under test go to a directory of the test's own."""

from pathlib import Path

import pytest

from pyxl.checkpoint import journal


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("journals")
    monkeypatch.setattr(journal, "DIRECTORY", directory)
    return directory
