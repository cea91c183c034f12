"""A pipe to save to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.checkpoint.new_file import NewFile


@pytest.fixture
def to_fifo(tmp_path: Path) -> Iterator[tuple[NewFile, int]]:
    """A FIFO as the target of a save, and the descriptor of its reader."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with NewFile(tmp_path / "pipe") as file:
        yield file, reader
