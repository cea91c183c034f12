"""A directory's change on its disk, where the file system has something to sync and where it has not."""

import errno
import os
from pathlib import Path

import pytest

from pyxl.checkpoint.durable import sync_directory


def test_a_file_system_without_anything_to_sync_is_none_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_directory(tmp_path)
    answers = [errno.EINVAL, errno.EIO]

    def fsync(fd: int) -> None:
        raise OSError(answers.pop(0), "as the file system says")

    monkeypatch.setattr(os, "fsync", fsync)
    sync_directory(tmp_path)
    with pytest.raises(OSError, match="as the file system says"):
        sync_directory(tmp_path)
    assert answers == []
