"""The directory in which the guests of a host that sleeps lie.

Of each guest there is a record, and a checkpoint where it was saved.  A checkpoint is restored once: before its guest
runs it loses its name, durably.  Each step here is durable when it returns.
"""

import fcntl
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pyxl.checkpoint.durable import sync_directory
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig

#: What a file is, by the end of its name: waits for its guest; its guest may have run since; which guest there was.
CHECKPOINT, BEGUN, RECORD = "checkpoint", "begun", "json"
#: A state of a guest that has gone on since without it.
STALE = "stale"
#: Which boot of this host it is.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAME_BYTES = 120
_FILE = re.compile(r"(.+)\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(checkpoint|begun|json)", re.DOTALL)


class Record(NamedTuple):
    """A guest that was here: ``place`` is its turn at a restore, ``ended`` that it was shut down to be started again.

    ``boot`` is the boot of the host in which it ran; ``config`` is libxl's.
    """

    name: str
    uuid: str
    place: int
    paused: bool
    ended: bool
    boot: str
    config: dict[str, Any]

    def its_config(self) -> GuestConfig:
        """Return its config.

        :raise UsageError: it is none.
        """
        return GuestConfig(json.dumps(self.config), f'the record of "{self.name}"')


class Guest(NamedTuple):
    """What the directory has of one guest; ``trouble`` is why its record cannot be read."""

    name: str
    uuid: str
    stem: str
    record: Record | None
    has_checkpoint: bool
    has_begun: bool
    trouble: str = ""


def stem(name: str, uuid: str) -> str:
    """Return how the names of a guest's files begin: its name, escaped like a URL's, and its uuid."""
    return f"{quote(name, safe=' ')[:_NAME_BYTES] or '_'}.{uuid}"


def this_boot() -> str:
    """Return the id of this boot of this host."""
    return _BOOT_ID.read_text().strip()


class GuestsDirectory:
    """The directory, held alone until ``close``; ``make`` makes it if it is missing.

    :raise PyxlError: another pyxl holds it, or others could put files there, which would be run as root.
    :raise OSError: it is missing, or cannot be entered.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path.absolute()
        if make and not self.path.is_dir():
            self.path.mkdir(mode=0o700, parents=True)
            sync_directory(self.path.parent)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(self._fd)
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PyxlError(
                    f"others than root may put files into {self.path}, and guests are started from them",
                    f"`chown root {self.path}; chmod 700 {self.path}` keeps others out.",
                )
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise PyxlError(f"another save-all or restore-all is at work in {self.path}", "Wait for its end.") from None
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> "GuestsDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others have it."""
        os.close(self._fd)

    def guests(self) -> list[Guest]:
        """Return the guests that lie here, in the order in which they are to come back."""
        found: dict[tuple[str, str], set[str]] = {}
        for file in self.path.iterdir():
            if match := _FILE.fullmatch(file.name):
                found.setdefault((match[1], match[2]), set()).add(match[3])
        guests = [self._guest(escaped, uuid, kinds) for (escaped, uuid), kinds in found.items()]
        return sorted(guests, key=lambda each: (each.record.place if each.record else 1 << 32, each.name))

    def file(self, guest_stem: str, kind: str) -> Path:
        """Return where one file of a guest is."""
        return self.path / f"{guest_stem}.{kind}"

    def put(self, record: Record) -> None:
        """Write the record of a guest."""
        target = self.file(stem(record.name, record.uuid), RECORD)
        temporary = target.with_name(f".{target.name}.new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            data = json.dumps(record._asdict()).encode()
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, target)  # noqa: PTH104
        os.fsync(self._fd)

    def begin(self, guest: Guest) -> None:
        """Take its name from the checkpoint of a guest that is about to run."""
        if self.file(guest.stem, CHECKPOINT).exists():
            os.rename(self.file(guest.stem, CHECKPOINT), self.file(guest.stem, BEGUN))  # noqa: PTH104
            os.fsync(self._fd)

    def forget(self, guest: Guest) -> None:
        """Remove what is not needed any more of a guest that runs, or that has ended for good; no checkpoint."""
        for kind in (BEGUN, RECORD):
            if self.file(guest.stem, kind).exists():
                os.unlink(self.file(guest.stem, kind))  # noqa: PTH108
        os.fsync(self._fd)

    def set_aside(self, guest: Guest) -> Path:
        """Take a checkpoint out of the way whose guest has gone on without it, and return where it is now."""
        aside = self.file(guest.stem, f"{time.strftime('%Y%m%dT%H%M%S')}.{STALE}")
        os.rename(self.file(guest.stem, CHECKPOINT), aside)  # noqa: PTH104
        os.fsync(self._fd)
        return aside

    def _guest(self, escaped: str, uuid: str, kinds: set[str]) -> Guest:
        guest_stem = f"{escaped}.{uuid}"
        record, trouble = None, ""
        if RECORD in kinds:
            try:
                record = Record(**json.loads(self.file(guest_stem, RECORD).read_text()))
                record.its_config()
            except (OSError, ValueError, TypeError, UsageError) as error:
                trouble = f"{self.file(guest_stem, RECORD)} is no record: {error}"
                record = None
        name = record.name if record else escaped
        return Guest(name, uuid, guest_stem, record, CHECKPOINT in kinds, BEGUN in kinds, trouble)
