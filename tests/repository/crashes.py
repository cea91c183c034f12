"""A process that dies at one of its operations on files, and a disk that then forgets what was not synced."""

import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DIED = 77
#: What survives: all that was done, what was synced, or of each directory some of what was not.
PROCESS, POWER, SOME = "process", "power", "some"


def dies_at(count: int, work: Callable[[], object], what: str, graves: Path, seed: int = 0) -> bool:
    """Do work in a forked process that dies before its operation ``count``, counted from 0; tell whether it did.

    ``graves`` is a directory for what the disk may have back, on the same file system.
    """
    if not (child := os.fork()):
        status = 1
        try:
            disk = _Disk(count, what, graves, random.Random(f"{seed} {count}"))
            disk.install()
            work()
            disk.forget()  # what is done is durable
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, DIED)
    return status == DIED


class _Disk:
    """Stands for the functions of os that change files; has for each directory what would undo what is not synced."""

    def __init__(self, count: int, what: str, graves: Path, chance: random.Random) -> None:
        self._left = count
        self._what = what
        self._graves = graves
        self._chance = chance
        self._undo: dict[str, list[Callable[[], object]]] = {}
        self._synced: dict[tuple[int, int], int] = {}  # size on the disk of files that are written to
        self._directories: set[str] = set()
        self.open, self.write, self.rename, self.unlink = os.open, os.write, os.rename, os.unlink

    def install(self) -> None:
        really: dict[str, Callable[..., Any]] = {
            "open": self._open, "write": self._write, "fsync": self._fsync, "rename": self._rename, "unlink": self._unlink,
        }  # fmt: skip
        for name, function in really.items():
            setattr(os, name, function)

    def _step(self) -> None:
        if not self._left:
            self.forget()
            os._exit(DIED)
        self._left -= 1

    def forget(self) -> None:
        """Lose what is not synced, as a host does that loses power."""
        if self._what == PROCESS:
            return
        for path, size in self._sizes():
            os.truncate(path, size)
        for undo in self._undo.values():
            survive = self._chance.randint(0, len(undo)) if self._what == SOME else 0
            for each in reversed(undo[survive:]):
                each()

    def _sizes(self) -> Iterator[tuple[Path, int]]:
        """Yield files that are not synced, and their sizes on the disk."""
        for directory in self._directories:
            for path in Path(directory).iterdir():
                status = path.stat()
                size = self._synced.get((status.st_dev, status.st_ino))
                if size is not None:
                    yield path, size

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & os.O_CREAT:
            return self.open(path, flags, mode, dir_fd=dir_fd)
        self._step()
        full = _full(path, dir_fd)
        is_new = not os.path.lexists(full)
        fd = self.open(path, flags, mode, dir_fd=dir_fd)
        if is_new:
            self._note(full, lambda: self.unlink(full))
        return fd

    def _write(self, fd: int, data: Any) -> int:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_nlink:
            self._step()
            self._synced.setdefault((status.st_dev, status.st_ino), status.st_size)
        return self.write(fd, data)

    def _fsync(self, fd: int) -> None:
        self._step()
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            self._undo.pop(_full("", fd).rstrip("/"), None)
        else:
            self._synced.pop((status.st_dev, status.st_ino), None)

    def _rename(self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        self._step()
        old, new = _full(source, src_dir_fd), _full(target, dst_dir_fd)
        grave = self._bury(new) if os.path.lexists(new) else None
        self.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

        def undo() -> None:
            self.rename(new, old)
            if grave:
                self.rename(grave, new)

        self._note(new, undo)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        full = _full(path, dir_fd)
        if os.path.lexists(full):
            self._step()
            grave = self._bury(full)
            self._note(full, lambda: self.rename(grave, full))
        self.unlink(path, dir_fd=dir_fd)

    def _bury(self, path: str) -> Path:
        grave = self._graves / str(sum(1 for _ in self._graves.iterdir()))
        os.link(path, grave)
        return grave

    def _note(self, path: str, undo: Callable[[], object]) -> None:
        directory = path.rpartition("/")[0]
        self._directories.add(directory)
        self._undo.setdefault(directory, []).append(undo)


def _full(path: Any, dir_fd: int | None) -> str:
    if dir_fd is None:
        return str(os.path.abspath(path))  # noqa: PTH100
    return f"{os.readlink(f'/proc/self/fd/{dir_fd}')}/{path}"  # noqa: PTH115
