"""A checkpoint file in the making: beside its target, private, and durable before it takes the target's name.

Its directory is opened once, and everything happens in it: nobody can replace the directory meanwhile.
"""

import contextlib
import errno
import os
import stat
import time
from pathlib import Path

from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.durable import sync_open_directory
from pyxl.checkpoint.real_path import is_trusted, open_directory
from pyxl.errors import PyxlError
from pyxl.interrupt import pass_on

#: Seconds that a FIFO may be without a reader: until somebody opens it, every other command on the guest has to wait.
READER_SECONDS = 60.0
_LOOK_SECONDS = 0.05


def temporary_of(target: Path, pid: int) -> Path:
    """Return where a new file of process ``pid`` is until it becomes ``target``."""
    return target.with_name(f".{target.name}.{pid}.new")


class NameNotDurable(OSError):
    """A file got its name, or lost it, but the disk did not confirm that: a crash may undo it."""

    def __str__(self) -> str:
        return str(self.strerror)


class NewFile:
    """A new file that becomes ``target`` only at ``commit``; without a commit nothing of it stays.

    A link stays: the file behind it is replaced.  A target that exists and is no regular file (a pipe, a device), or
    that is a descriptor (standard output), is written to directly.  ``fd`` is unbuffered: the save-helper goes on
    writing at its offset.  ``temporary`` is where the file is until it has its name;
    ``committed`` says that it has.

    :raise OSError: the target or its directory cannot be written to.
    :raise PyxlError: it can, but others would choose what is written to or could replace it; or it is a terminal.
    """

    def __init__(self, target: Path | int) -> None:
        self.temporary: Path | None = None
        self.committed = False
        self._directory = -1
        if isinstance(target, int):
            self.fd = os.dup(target)
        else:
            self._directory, self._target = open_directory(target)
            self.fd = -1
        try:
            if self.fd < 0:
                self.fd = self._open_special()
            if self.fd < 0:
                self.fd = self._create()
            if os.isatty(self.fd):
                raise PyxlError("a guest's state is not for a terminal", "Name a file, or send it to a pipe.")
        except BaseException:
            self.close()
            raise
        self._is_file = stat.S_ISREG(os.fstat(self.fd).st_mode)
        self._start = os.lseek(self.fd, 0, os.SEEK_CUR) if self._is_file else 0

    def __enter__(self) -> "NewFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``."""
        write_all(self.fd, data)

    def size(self) -> int:
        """Return how many bytes this process, or one that shares the fd, has written; 0 on a pipe."""
        return os.lseek(self.fd, 0, os.SEEK_CUR) - self._start if self._is_file else 0

    def start_writeback(self, start: int, end: int) -> None:
        """Have the kernel begin to write these bytes to the disk, without waiting; a pipe has none."""
        if self.temporary is not None:
            os.posix_fadvise(self.fd, start, end - start, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Wait until all that was written is on the disk; a pipe has none."""
        if self._is_file:
            os.fsync(self.fd)

    def commit(self) -> None:
        """Close a synced file, give it its name and make the name durable.

        :raise NameNotDurable: the file has its name, but may lose it again.
        :raise OSError: the target is as it was.
        """
        self._close_fd()
        if self.temporary is None:
            return
        os.rename(self.temporary.name, self._target.name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self.temporary = None
        self.committed = True
        try:
            sync_open_directory(self._directory)
        except OSError as error:
            said = f"{error.strerror}: the checkpoint is whole, but its name may not outlast a crash of this host"
            raise NameNotDurable(error.errno, said, os.fspath(self._target)) from error

    def close(self) -> None:
        """Close the file, and remove it if it never became a checkpoint; harmless when done twice.

        :raise NameNotDurable: it is removed, but may come back.
        """
        try:
            self._close_fd()
        finally:
            temporary, self.temporary = self.temporary, None
            try:
                if temporary is not None:
                    self._remove(temporary)
            finally:
                if self._directory >= 0:
                    os.close(self._directory)
                    self._directory = -1

    def _remove(self, temporary: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary.name, dir_fd=self._directory)
        try:
            sync_open_directory(self._directory)
        except OSError as error:  # a disk that has just failed, and that has the name in its log
            said = f"{error.strerror}: {temporary} is removed, but may come back with the disk"
            raise NameNotDurable(error.errno, said, os.fspath(temporary)) from error

    def _close_fd(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _open_special(self) -> int:
        """Open a target that is no regular file; -1 when it is one, or missing."""
        try:
            status = os.stat(self._target.name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return -1
        if stat.S_ISREG(status.st_mode):
            return -1
        if not is_trusted(status):
            raise PyxlError(f"{self._target} belongs to another user, who could read the guest's memory there")
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        if stat.S_ISFIFO(status.st_mode):
            return self._open_fifo(flags)
        if stat.S_ISBLK(status.st_mode):
            flags |= os.O_EXCL  # not while this host has mounted it, swaps to it, or has it in a volume group
        return os.open(self._target.name, flags, dir_fd=self._directory)

    def _open_fifo(self, flags: int) -> int:
        """Open a FIFO once it has a reader; an interrupt ends the wait."""
        end = time.monotonic() + READER_SECONDS
        while True:
            try:
                fd = os.open(self._target.name, flags | os.O_NONBLOCK, dir_fd=self._directory)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            else:
                os.set_blocking(fd, True)
                return fd
            if time.monotonic() > end:
                raise PyxlError(
                    f"nobody has opened the pipe {self._target} for reading within {READER_SECONDS:.0f} s",
                    "Start what reads it, then save.",
                )
            pass_on()
            time.sleep(_LOOK_SECONDS)

    def _create(self) -> int:
        """Create the file beside its target."""
        mode = os.fstat(self._directory).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PyxlError(
                f"everybody may write to {self._target.parent}, and so replace the checkpoint",
                f"`chmod +t {self._target.parent}` keeps others from that; on FAT or a NAS: mount it with umask=077.",
            )
        temporary = temporary_of(self._target, os.getpid())
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary.name, flags, 0o600, dir_fd=self._directory)
        self.temporary = temporary
        return fd
