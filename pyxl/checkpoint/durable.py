"""Have the names in a directory on its disk."""

import errno
import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Wait until files that were made, renamed or removed in a directory are so on its disk.

    :raise OSError: the disk failed.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_open_directory(fd)
    finally:
        os.close(fd)


def sync_open_directory(fd: int) -> None:
    """Do so of a directory that is open.

    :raise OSError: the disk failed.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system whose directories have nothing to sync
            raise
