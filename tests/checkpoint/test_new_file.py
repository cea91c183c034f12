"""A new checkpoint file does not appear under its name before it is whole."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from pyxl.checkpoint import new_file
from pyxl.checkpoint.new_file import NameNotDurable, NewFile
from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError, TruncatedStream

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


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
        assert file.temporary == tmp_path / f".web1.{os.getpid()}.new"
        assert names(tmp_path) == [file.temporary.name]
    assert names(tmp_path) == []
    file.close()


@pytest.mark.parametrize("call", ["write", "fsync", "close", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    (tmp_path / "web1").write_bytes(b"old")
    real_close = os.close

    def failing(*arguments: object, **_: object) -> None:
        monkeypatch.undo()
        if call == "close":
            real_close(arguments[0])  # type: ignore[arg-type]  # the kernel frees the descriptor even then
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=os.strerror(number)) as caught, NewFile(tmp_path / "web1") as file:
        if call == "write":
            monkeypatch.setattr(os, call, failing)
        file.write(b"new")
        if call == "fsync":
            monkeypatch.setattr(os, call, failing)
        file.sync()
        monkeypatch.setattr(os, call, failing)
        file.commit()
    assert not isinstance(caught.value, NameNotDurable)
    assert names(tmp_path) == ["web1"]
    assert (tmp_path / "web1").read_bytes() == b"old"


def test_a_name_that_the_disk_does_not_confirm_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web1").write_bytes(b"old")

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(NameNotDurable, match="may not outlast a crash"), NewFile(tmp_path / "web1") as file:
        file.write(b"new")
        file.sync()
        file.commit()
    assert (tmp_path / "web1").read_bytes() == b"new"


def test_a_removal_that_the_disk_does_not_confirm_is_still_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = NewFile(tmp_path / "web1")

    def fsync(fd: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(NameNotDurable, match=r"\.web1\.\d+\.new is removed, but may come back with the disk$"):
        file.close()
    assert names(tmp_path) == []
    file.close()


def test_a_file_system_whose_directories_have_nothing_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with NewFile(tmp_path / "web1") as file:
        file.write(b"new")
        file.sync()
        file.commit()
    assert (tmp_path / "web1").read_bytes() == b"new"


def test_a_directory_where_everybody_may_replace_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PyxlError, match=f"everybody may write to {tmp_path}, and so replace the checkpoint") as caught:
        NewFile(tmp_path / "web1")
    assert "chmod +t" in caught.value.hint and "on FAT or a NAS: mount it with umask=077" in caught.value.hint
    tmp_path.chmod(0o1777)
    NewFile(tmp_path / "web1").close()


def test_a_full_disk_is_told_by_write() -> None:
    with NewFile(Path("/dev/full")) as file, pytest.raises(OSError, match="No space left"):
        file.write(b"new")


def test_a_directory_put_in_the_place_of_the_first_gets_nothing(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with NewFile(there / "web1") as file:
        file.write(b"new")
        there.rename(tmp_path / "moved")
        there.mkdir()
        file.commit()
    assert names(there) == []
    assert names(tmp_path / "moved") == ["web1"]


def test_where_everybody_may_replace_the_file_none_is_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PyxlError, match="replace the checkpoint") as caught:
        NewFile(tmp_path / "web1")
    assert caught.value.hint.startswith("`chmod +t ")
    tmp_path.chmod(0o1777)
    NewFile(tmp_path / "web1").close()


@needs_root
def test_a_file_of_somebody_else_is_replaced_but_his_pipe_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "web1").write_bytes(b"old")
    os.chown(tmp_path / "web1", 4711, 4711)
    with NewFile(tmp_path / "web1") as file:
        file.commit()
    assert (tmp_path / "web1").stat().st_uid == 0
    os.mkfifo(tmp_path / "pipe")
    os.chown(tmp_path / "pipe", 4711, 4711)
    with pytest.raises(PyxlError, match="another user, who could read the guest's memory"):
        NewFile(tmp_path / "pipe")


def test_a_descriptor_of_a_pipe_is_written_to() -> None:
    reader, writer = os.pipe()
    with NewFile(writer) as file:
        os.close(writer)
        assert file.temporary is None
        file.write(b"new")
        assert file.size() == 0
        file.sync()
        file.commit()
    assert os.read(reader, 10) == b"new"
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_a_descriptor_of_a_file_is_written_in_place(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "web1", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before ")
    with NewFile(fd) as file:
        file.write(b"new")
        assert file.size() == 3
        file.sync()
        file.commit()
    os.close(fd)
    assert (tmp_path / "web1").read_bytes() == b"before new"


def test_a_terminal_gets_no_checkpoint() -> None:
    terminal, user = os.openpty()
    before = sorted(Path("/proc/self/fd").iterdir())
    for target in (user, Path(os.ttyname(user))):
        with pytest.raises(PyxlError, match="not for a terminal"):
            NewFile(target)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    os.close(user)
    os.close(terminal)


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


def test_a_fifo_without_a_reader_is_waited_for_until_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt is held there, so that a file that was made does not go unnoticed."""
    os.mkfifo(tmp_path / "pipe")

    def pressed() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(new_file, "pass_on", pressed)
    with pytest.raises(KeyboardInterrupt):
        NewFile(tmp_path / "pipe")


def test_a_fifo_without_a_reader_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(new_file, "READER_SECONDS", 0.1)
    with pytest.raises(PyxlError, match=r"nobody has opened the pipe .* for reading") as caught:
        NewFile(tmp_path / "pipe")
    assert "Start what reads it" in caught.value.hint


def test_a_pipe_that_does_not_block_takes_all_and_gives_all() -> None:
    """As ssh and node.js leave the standard streams of what they start."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    data = os.urandom(1 << 20)
    with NewFile(writer) as file:
        thread = threading.Thread(target=file.write, args=(data,))
        thread.start()
        assert Source(reader).take(len(data)) == data
        thread.join()
    os.close(reader)
    os.close(writer)


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
