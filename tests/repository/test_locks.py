"""Many work in a repository at once, or one alone: processes that are forked, and what they see of each other."""

import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.repository import writing_host
from pyxl.repository.locks import Busy, Locks
from tests.child import in_child

SECONDS = 20.0


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(tmp_path / "locks")


class Other:
    """A process that takes a lock, says so, and holds it until it is killed."""

    def __init__(self, lock: Callable[[], AbstractContextManager[None]]) -> None:
        self._says, says = os.pipe()
        os.set_blocking(self._says, False)
        self.pid = os.fork()
        if not self.pid:
            try:
                with lock():
                    os.write(says, b".")
                    signal.pause()
            finally:
                os._exit(1)
        os.close(says)

    def has_it(self, seconds: float = SECONDS) -> bool:
        """Wait at most so long until it has its lock."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                return os.read(self._says, 1) == b"."
            except BlockingIOError:
                time.sleep(0.01)
        return False

    def end(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._says)
            self.pid = 0


@pytest.fixture
def other() -> Iterator[Callable[[Callable[[], AbstractContextManager[None]]], Other]]:
    with ExitStack() as owned:

        def start(lock: Callable[[], AbstractContextManager[None]]) -> Other:
            made = Other(lock)
            owned.callback(made.end)
            return made

        yield start


Start = Callable[[Callable[[], AbstractContextManager[None]]], Other]


def test_many_share(locks: Locks, other: Start) -> None:
    assert other(locks.shared).has_it()
    assert other(locks.writing).has_it()
    with locks.shared():
        pass


def test_one_alone_waits_for_those_who_share(locks: Locks, other: Start) -> None:
    reader = other(locks.shared)
    assert reader.has_it()
    with pytest.raises(Busy, match="others are at work"), locks.alone(0.1):
        pytest.fail("not alone")
    waiting = other(locks.alone)
    assert not waiting.has_it(0.2)
    reader.end()
    assert waiting.has_it()


def wait_for_door(directory: Path) -> None:
    """Wait until somebody who wants to be alone has the door."""
    end = time.monotonic() + SECONDS
    with (directory / "door").open() as door:
        while time.monotonic() < end:
            try:
                fcntl.flock(door, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(door, fcntl.LOCK_UN)
            time.sleep(0.01)
    pytest.fail("nobody took it")


def test_whoever_comes_after_one_who_waits_to_be_alone_waits(locks: Locks, other: Start, tmp_path: Path) -> None:
    reader = other(locks.shared)
    assert reader.has_it()
    waiting = other(locks.alone)
    wait_for_door(tmp_path / "locks")
    newcomer = other(locks.shared)
    assert not newcomer.has_it(0.2)
    reader.end()
    assert waiting.has_it()
    assert not newcomer.has_it(0.2)
    waiting.end()
    assert newcomer.has_it()


def test_the_lock_of_a_killed_process_is_gone(locks: Locks, other: Start) -> None:
    holder = other(locks.alone)
    assert holder.has_it()
    with pytest.raises(Busy), locks.alone(0.1):
        pytest.fail("not alone")
    holder.end()
    with locks.alone(0):
        pass


def test_a_wait_lasts_as_long_as_it_may_in_all(locks: Locks, other: Start) -> None:
    assert other(locks.shared).has_it()
    start = time.monotonic()
    with pytest.raises(Busy), locks.alone(0.3):
        pytest.fail("not alone")
    assert 0.3 < time.monotonic() - start < 2


def test_numbers_are_given_once(locks: Locks) -> None:
    def take() -> None:
        for _ in range(20):
            locks.next_number(1)

    for _ in range(3):
        in_child(take)
    assert locks.next_number(1) == 61
    assert locks.next_number(100) == 100


def refuse_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files open for reading only, as on a read-only file system, where root may not write either."""
    really = os.open

    def refusing(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)


def test_a_reader_needs_no_locks_where_nothing_can_be_written(
    locks: Locks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_writes(monkeypatch)
    with locks.shared():
        pass
    assert not list((tmp_path / "locks").iterdir())
    with pytest.raises(PyxlError, match=r"door: Read-only file system$"), locks.alone():
        pytest.fail("alone")
    with pytest.raises(PyxlError, match=r"number: Read-only file system$"):
        locks.next_number(1)


def test_a_reader_takes_locks_that_are_there_even_if_it_cannot_write(
    locks: Locks, other: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = other(locks.alone)
    assert holder.has_it()
    refuse_writes(monkeypatch)
    reader = other(locks.shared)
    assert not reader.has_it(0.2)
    holder.end()
    assert reader.has_it()


def test_what_cannot_be_locked_is_said(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refusing)
    with pytest.raises(PyxlError, match="files cannot be locked there: No locks available"), locks.shared():
        pytest.fail("locked")


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 0:9999 / / rw,relatime - ext4 /dev/vda rw
40 27 {device} / /a\\040place rw,relatime shared:5 master:1 - nfs4 nas:/x rw,vers=4.2
"""


def test_the_file_system_is_that_of_the_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(device=f"{os.major(device)}:{os.minor(device)}"))
    assert writing_host.file_system(tmp_path, mounts) == "nfs4"
    mounts.write_text("")
    assert writing_host.file_system(tmp_path, mounts) == ""
    assert not writing_host.is_shared(writing_host.file_system(Path("/proc")))
    assert writing_host.is_shared("fuse.sshfs") and not writing_host.is_shared("fuseblk")


def test_only_one_host_writes_over_a_network(
    locks: Locks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locks.writing():
        assert not (tmp_path / "locks" / "host").exists()  # a local disk is this host's
    monkeypatch.setattr(writing_host, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(writing_host, "_machine", lambda: "one")
    for _ in range(2):
        with locks.writing(), locks.shared():
            pass
    monkeypatch.setattr(writing_host, "_machine", lambda: "two")
    with locks.shared():
        pass
    for lock in (locks.writing, locks.alone):
        with pytest.raises(PyxlError, match=f"^{os.uname().nodename} writes to the repository in ") as caught, lock():
            pytest.fail("two hosts write")
        assert caught.value.hint == f"`rm {tmp_path}/locks/host`, when that host does not use it any more."
    (tmp_path / "locks" / "host").unlink()
    with locks.alone():
        pass
