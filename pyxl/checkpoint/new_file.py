"""A checkpoint file in the making: beside its target, private, and durable before it takes the target's name."""

import contextlib
import os
from pathlib import Path


class NewFile:
    """A new file that becomes ``target`` only at ``commit``; left without one, nothing of it stays.

    A target that exists and is no regular file (a pipe, a device) is written to directly: it has no old content
    to keep.  ``fd`` is unbuffered: the save-helper writes on at its offset.

    :raise OSError: the target or its directory cannot be written to.
    """

    def __init__(self, target: Path) -> None:
        # A link keeps pointing where it points: the file behind it is what gets replaced.
        self._target = target.resolve()
        self._new: Path | None = None
        if self._target.exists() and not self._target.is_file():
            self.fd = os.open(self._target, os.O_WRONLY | os.O_CLOEXEC)
            return
        self._new = self._target.with_name(f".{self._target.name}.{os.getpid()}.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(self._new, flags, 0o600)

    def __enter__(self) -> "NewFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def size(self) -> int:
        """Return how many bytes were written so far, by this process or by one that shares the fd; 0 on a pipe."""
        return os.lseek(self.fd, 0, os.SEEK_CUR) if self._new else 0

    def start_writeback(self, start: int, end: int) -> None:
        """Have the kernel begin to write these bytes to the disk, without waiting; a pipe has none."""
        if self._new is not None:
            os.posix_fadvise(self.fd, start, end - start, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Wait until all that was written is on the disk; a pipe has none."""
        if self._new is not None:
            os.fsync(self.fd)

    def commit(self) -> None:
        """Give a synced file its name and make the name durable."""
        if self._new is None:
            return
        self._new.rename(self._target)
        self._new = None
        directory = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Close the file, and remove it if it never became a checkpoint; harmless when done twice."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        if self._new is not None:
            with contextlib.suppress(FileNotFoundError):
                self._new.unlink()
