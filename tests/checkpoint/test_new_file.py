"""A checkpoint file in the making: nothing of it is seen before it is whole."""

import os
from pathlib import Path

import pytest

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.source import Source
from pyxl.errors import TruncatedStream


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_it_takes_its_name_at_commit_and_is_private(tmp_path: Path) -> None:
    target = tmp_path / "web1"
    target.write_bytes(b"old")
    with NewFile(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
        file.sync()
        file.commit()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["web1"]


def test_left_without_commit_nothing_stays(tmp_path: Path) -> None:
    with NewFile(tmp_path / "web1") as file:
        file.write(b"new")
        assert names(tmp_path) == [f".web1.{os.getpid()}.new"]
    assert names(tmp_path) == []
    file.close()


def test_the_file_behind_a_link_is_replaced_not_the_link(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "web1").write_bytes(b"old")
    (tmp_path / "link").symlink_to(there / "web1")
    with NewFile(tmp_path / "link") as file:
        file.write(b"new")
        file.commit()
    assert (tmp_path / "link").is_symlink()
    assert (there / "web1").read_bytes() == b"new"


def test_nobody_s_file_is_taken_for_its_own(tmp_path: Path) -> None:
    (tmp_path / f".web1.{os.getpid()}.new").symlink_to("/etc/passwd")
    with pytest.raises(FileExistsError):
        NewFile(tmp_path / "web1")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with NewFile(tmp_path / "pipe") as file:
        file.write(b"new")
        assert file.size() == 0
        file.sync()
        file.commit()
    assert os.read(reader, 10) == b"new"
    assert names(tmp_path) == ["pipe"]
    os.close(reader)


def test_source_reads_exactly_and_leaves_the_offset(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    source = Source(fd)
    assert (source.take(4), source.size) == (b"0123", 10)
    source.skip(4)
    assert source.take(2) == b"89"
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    with pytest.raises(TruncatedStream, match="ends 1 bytes too early"):
        source.take(1)
    with pytest.raises(TruncatedStream):
        source.skip(1)
    os.close(fd)


def test_source_on_a_pipe_takes_each_byte_once() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"0123")
    os.close(writer)
    source = Source(reader)
    assert (source.seekable, source.take(2), source.take(2)) == (False, b"01", b"23")
    os.close(reader)
