"""How fast a new file of frames is made: which zstd level keeps pace, and how far the disk may be behind.

Imports next to nothing: the save-helper starts through here.
"""

import os
import stat
import time

#: From the fastest to the smallest; more than the last gains little and costs much.
LEVELS = (-5, -4, -3, -2, -1, 1, 2, 3)
_FIRST_LEVEL = 1
#: A share of the time in which the disk, or who writes the content, was waited for; from there on it is the slowest.
_DISK_SHARE = 0.8
_SOURCE_SHARE = 0.5
#: Bytes after which the level is looked at: if they end with a wait for the disk, else a few more.
_LOOK_BYTES = 32 << 20
_LATE_BYTES = 128 << 20
#: So many stored bytes are given to the disk at once; so many it may be behind, as in summed.py.
_WRITEBACK = 4 << 20
_SYNC = 16 << 20


def next_level(level: int, elapsed: float, disk: float, source: float) -> int:
    """Return the level to go on with, after ``elapsed`` seconds at ``level``.

    For ``disk`` seconds of them the disk was waited for, for ``source`` seconds the content, both at most one at a
    time.
    """
    at = LEVELS.index(level)
    if disk >= _DISK_SHARE * elapsed:
        return LEVELS[min(at + 1, len(LEVELS) - 1)]
    if source < _SOURCE_SHARE * elapsed:
        return LEVELS[max(at - 1, 0)]
    return level


class Pace:
    """The ``level`` of a stream's frames, so that the compressor is never what a suspended guest waits for.

    A level that is given stays; None adapts.
    """

    def __init__(self, level: int | None) -> None:
        self.level = level or _FIRST_LEVEL
        self._adapts = level is None
        self._content = 0
        self._since = time.monotonic()
        self._disk = self._source = 0.0

    def waited(self, seconds: float) -> None:
        """Take note that the content was waited for."""
        self._source += seconds

    def stored(self, content: int, seconds: float, has_synced: bool) -> None:
        """Take note that a frame of so many bytes was stored, and how long that took."""
        self._content += content
        self._disk += seconds
        if self._adapts and self._content >= (_LOOK_BYTES if has_synced else _LATE_BYTES):
            now = time.monotonic()
            self.level = next_level(self.level, now - self._since, self._disk, self._source)
            self._since, self._content = now, 0
            self._disk = self._source = 0.0


class Writeback:
    """Keeps the disk from falling far behind what is written to ``fd``: a failing one would show only at the end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._has_disk = stat.S_ISREG(os.fstat(fd).st_mode)
        self._written = self._given = self._synced = os.lseek(fd, 0, os.SEEK_CUR) if self._has_disk else 0

    def wrote(self, size: int) -> bool:
        """Give the disk its share of ``size`` more bytes, and return whether it was waited for.

        :raise OSError: it has failed.
        """
        self._written += size
        if not self._has_disk:
            return False
        if self._written - self._given >= _WRITEBACK:
            os.posix_fadvise(self._fd, self._given, self._written - self._given, os.POSIX_FADV_DONTNEED)
            self._given = self._written
        if self._written - self._synced < _SYNC:
            return False
        os.fsync(self._fd)
        self._synced = self._written
        return True
