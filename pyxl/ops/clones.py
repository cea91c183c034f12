"""What pyxl knows of each clone: of what it was made, and what was made for it.

A record is written, durably, before anything is made for its clone, and goes after everything else is gone: what a
process that died has made is found in it.  It is never changed.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.durable import sync_directory
from pyxl.disks.ways import way
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.copied import Copied

_SUFFIX = ".json"


class Clone(NamedTuple):
    """A clone: ``source`` is its checkpoint, ``origin`` the guest that this is of, ``made`` as 2026-11-24T15:20:11Z.

    ``config`` is libxl's, with the clone's own disks.  ``state`` names the record of the checkpoint of a running guest
    that it was made of, if it was; such a record has no uuid, and no disks: these are the checkpoint's.
    """

    name: str
    uuid: str
    source: str
    origin: str
    made: str
    config: dict[str, Any]
    disks: tuple[Copied, ...] = ()
    state: str = ""

    def its_config(self) -> GuestConfig:
        """Return its config.

        :raise UsageError: it is none.
        """
        return GuestConfig(json.dumps(self.config), f'the record of the clone "{self.name}"')


def state_name(name: str) -> str:
    """Return how the record of a running guest's checkpoint is called, of which clones ``name`` are made."""
    return f"{name}.state"


def record_of(name: str) -> Path:
    return Path(paths.CLONES) / f"{name}{_SUFFIX}"


def clones() -> list[Clone]:
    """Return all clones of this host, by their names; a record that cannot be read is left out."""
    directory = Path(paths.CLONES)
    found = []
    for file in sorted(directory.glob(f"*{_SUFFIX}")) if directory.is_dir() else ():
        try:
            found.append(_parsed(file.read_text()))
        except (OSError, UsageError):
            continue
    return found


@contextmanager
def begun(clone: Clone) -> Iterator[None]:
    """Write the record of a new clone, and hold it.

    :raise PyxlError: there is a clone of that name.
    """
    target = record_of(clone.name)
    if not target.parent.is_dir():
        target.parent.mkdir(mode=0o700)
        sync_directory(target.parent.parent)
    # Without a name of its own nothing of it stays, whenever we die.
    fd = os.open(target.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, json.dumps(clone._asdict()).encode())
        os.fsync(fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            # Python follows the link only where it is given a directory, which an absolute path does without.
            os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)
        except FileExistsError:
            raise PyxlError(
                f'there is a clone "{clone.name}" already', f"`pyxl clone --discard {clone.name}` ends it."
            ) from None
        sync_directory(target.parent)
        yield
    finally:
        os.close(fd)


@contextmanager
def held(name: str) -> Iterator[Clone]:
    """Hold the record of a clone, so that nobody else acts on it, and return it.

    :raise PyxlError: there is no such clone, or another pyxl is at work on it.
    """
    target = record_of(name)
    try:
        fd = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise PyxlError(f'there is no clone "{name}"', "`pyxl list --clones` shows those that exist.") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PyxlError(f'another pyxl is at work on the clone "{name}"', "Wait for its end.") from None
        if not os.fstat(fd).st_nlink:
            raise PyxlError(f'the clone "{name}" has just been discarded')
        with open(fd, closefd=False) as file:
            yield _parsed(file.read())
    finally:
        os.close(fd)


def forget(clone: Clone) -> None:
    """Remove the record of a clone that is held."""
    target = record_of(clone.name)
    target.unlink()
    sync_directory(target.parent)


def check_not_a_base(disks: Iterable[tuple[str, str, bool]]) -> None:
    """Refuse to write to a disk that clones read: each write would change theirs.

    :raise PyxlError: whose disk it is.
    """
    written = {os.path.realpath(path): vdev for vdev, path, write in disks if write}
    for clone in clones() if written and Path(paths.CLONES).is_dir() else ():
        for each in clone.disks:
            vdev = written.get(os.path.realpath(each.base))
            if vdev is not None and way(each.way).shares_base:
                raise PyxlError(
                    f'disk {vdev} is what the clone "{clone.name}" reads ({each.base}): a write would destroy it',
                    f"`pyxl clone --discard {clone.name}` ends the clone.",
                )


def _parsed(text: str) -> Clone:
    """Return a record.

    :raise UsageError: it is none.
    """
    try:
        members = json.loads(text)
        members["disks"] = tuple(Copied(*each) for each in members["disks"])
        return Clone(**members)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"a record in {paths.CLONES} cannot be read: {error}") from error
