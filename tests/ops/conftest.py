"""Keep the journals of these tests in a temporary directory, and wait only briefly for another's destroy."""

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
