"""Walk to a file so that nobody else chooses where the walk ends: each directory is opened in the one before it.

A symbolic link is followed only if root or this user made it, and nobody else could have made or can replace it.
"""

import errno
import os
import stat
from pathlib import Path

from pyxl.errors import PyxlError

#: Links in one path, as the kernel's own limit.
_MAX_LINKS = 40
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def open_directory(path: Path) -> tuple[int, Path]:
    """Follow ``path`` to its last component, which may be missing and is no link.

    Returns a descriptor of its directory, and its path without links.

    :raise PyxlError: a link on the way is not to be trusted, or the path names no file.
    :raise OSError: a directory on the way is missing or may not be entered.
    """
    fd, where = _open("/" if path.is_absolute() else "."), Path("/") if path.is_absolute() else Path.cwd()
    try:
        left = _components(path)
        links = 0
        while left:
            name = left.pop()
            link = _link(fd, name, where / name)
            if link is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
                left += _components(link)
                if link.is_absolute():
                    fd, where = _step(fd, "/"), Path("/")
            elif left or name == "..":
                fd, where = _step(fd, name), where.parent if name == ".." else where / name
            else:
                # O_PATH is enough for the walk, but fsync needs a directory that is open for reading.
                return _step(fd, ".", os.O_RDONLY), where / name
        raise PyxlError(f"{path} is a directory")
    except BaseException:
        os.close(fd)
        raise


def is_trusted(status: os.stat_result) -> bool:
    """Return whether root or this user owns it."""
    return status.st_uid in (0, os.geteuid())


def _components(path: Path) -> list[str]:
    return [part for part in reversed(path.parts) if part != "/"]


def _open(name: str, flags: int = os.O_PATH, directory: int | None = None) -> int:
    return os.open(name, flags | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def _step(fd: int, name: str, flags: int = os.O_PATH) -> int:
    """Open a directory relative to ``fd``, and close ``fd``."""
    there = _open(name, flags, fd)
    os.close(fd)
    return there


def _link(fd: int, name: str, path: Path) -> Path | None:
    """Return where the link ``name`` points, None when it is no link or missing.

    :raise PyxlError: it is a link that somebody else made or can replace.
    """
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    directory = os.fstat(fd)
    kept = is_trusted(directory) and (directory.st_mode & stat.S_ISVTX or not directory.st_mode & _OTHERS)
    if not (is_trusted(status) and kept):
        raise PyxlError(
            f"{path} is a symbolic link that others made or can replace: not followed",
            "Name the directory that is meant by its own path.",
        )
    return Path(os.readlink(name, dir_fd=fd))
