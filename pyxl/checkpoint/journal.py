"""The journal of an operation on a guest: a lock while its process lives, a note of what it owes when the process died.

One file for each guest, named by its uuid, which the working process locks with flock.  Each line is a JSON object of
facts; a later one wins, so an unfinished line of a dying process costs only that line.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.model.phases import Phase

#: A journal is some ten lines; more than this was not written by pyxl.
_MAX_BYTES = 1 << 20
#: Seconds that a process may hold a lock only to look, or before it has written its entry.
_MOMENT = 1.0


class Entry(NamedTuple):
    """What one operation has noted about itself.

    ``domid`` is 0 while a restore or create does not know it; ``target`` is the file of a save, all links followed;
    ``after`` is what happens to the domain at the end; ``since`` is in seconds since 1970; ``room`` is what dom0 has
    given, in KiB; ``live`` says that writes may be logged; ``copies`` are those of the guest's disks, in JSON,
    ``aside`` where its disks are while those of its checkpoint take their place.
    """

    operation: str
    uuid: str
    name: str
    pid: int
    since: int
    phase: str = Phase.PREFLIGHT.name
    domid: int = 0
    target: str = ""
    helper: int = 0
    after: str = ""
    room: int = 0
    live: int = 0
    copies: str = ""
    aside: str = ""

    def says(self) -> str:
        """Return which operation it is, for a message: `save of "web1" (pid 4711, since 22:14:03)`."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f'{self.operation} of "{self.name}" (pid {self.pid}, since {since})'


class Busy(PyxlError):
    """Another operation on the guest is in progress; ``entry`` is what it has noted."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"a {entry.says()} is in progress", "Wait until it is done, or interrupt it.")
        self.entry = entry


class Journal:
    """The journal of one guest, held by this process until ``close``.

    ``left`` is what an operation that died has noted, None where none did.  It stays in the journal until ``begin``,
    since what it owes must be done before anything else is done to the guest.  A note that the disk does not take is
    no reason to leave the guest where it is: ``trouble`` is why, and only a death of this process would miss it.
    ``needed`` is False for what must be done even where there can be no journal.

    :raise Busy: another process holds it.
    :raise OSError: the journal's directory cannot be written to.
    """

    def __init__(
        self, operation: str, uuid: str, name: str, directory: Path | None = None, *, needed: bool = True
    ) -> None:
        self._path = (directory or Path(paths.JOURNAL_DIRECTORY)) / uuid
        self._fd = -1
        self.trouble: OSError | None = None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = _locked(self._path, create=True)
        except OSError as error:
            if needed:
                raise
            self.trouble = error
        self.left = _read(self._fd) if self._fd >= 0 else None
        self.entry = Entry(operation, uuid, name, os.getpid(), int(time.time()))
        if self.left is None:
            self.begin()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> None:
        """Note this operation in place of one that died and owes nothing more."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
        self.left = None
        self._append(self.entry._asdict())

    def note(self, **facts: str | int) -> None:
        """Note facts of this operation, by the names of Entry's fields."""
        self.entry = self.entry._replace(**facts)  # type: ignore[arg-type]
        self._append(facts)

    def sync(self) -> None:
        """Wait until all notes are on the disk: a host that loses power keeps the files that they name."""
        if self._fd < 0:
            return
        try:
            os.fsync(self._fd)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            self.trouble = error

    def close(self) -> None:
        """Owe nothing more and release the guest; the notes of an operation that died stay until ``begin``.

        Harmless when done twice.
        """
        if self._fd >= 0:
            if self.left is None:
                self._path.unlink(missing_ok=True)
            self.leave()

    def leave(self) -> None:
        """Release the guest and keep the notes of what is owed, as if this process had died."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _append(self, facts: dict[str, str | int]) -> None:
        if self._fd < 0:
            return
        try:
            os.write(self._fd, json.dumps(facts).encode() + b"\n")
        except OSError as error:
            self.trouble = error


def holder(uuid: str, directory: Path | None = None) -> Entry | None:
    """Return what the process that works on a guest has noted, None when none does."""
    try:
        os.close(_locked((directory or Path(paths.JOURNAL_DIRECTORY)) / uuid, create=False))
    except Busy as busy:
        return busy.entry
    except FileNotFoundError:
        pass
    return None


def others_at(target: Path, uuid: str, directory: Path | None = None) -> Iterator[Entry]:
    """Yield the entries of working processes that save to ``target``, but for those on the guest ``uuid``."""
    directory = directory or Path(paths.JOURNAL_DIRECTORY)
    for path in directory.iterdir():
        entry = holder(path.name, directory) if path.name != uuid else None
        if entry is not None and entry.target == str(target):
            yield entry


def dead(directory: Path | None = None) -> Iterator[Entry]:
    """Yield the entries of operations whose process has died."""
    directory = directory or Path(paths.JOURNAL_DIRECTORY)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        with contextlib.suppress(Busy, OSError):
            fd = _locked(path, create=False)
            try:
                entry = _read(fd)
                if entry is None:  # it died before it wrote, and owes nothing
                    path.unlink()
            finally:
                os.close(fd)
            if entry is not None:
                yield entry


def _locked(path: Path, *, create: bool) -> int:
    """Return a descriptor of the journal at ``path``, locked and still under that name.

    :raise Busy: another process has it locked.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    end = time.monotonic() + _MOMENT
    while True:
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            entry = _read(fd)
            os.close(fd)
            at_work = entry is not None and Path(f"/proc/{entry.pid}").exists()
            if not at_work and time.monotonic() < end:
                time.sleep(0.01)
                continue
            raise Busy(entry or Entry("operation", path.name, "", 0, int(time.time()))) from None
        if os.fstat(fd).st_nlink:  # a holder that is done removes the name: then this file locks nothing
            return fd
        os.close(fd)


def _read(fd: int) -> Entry | None:
    """Return the entry in a journal, None where there is no whole one."""
    facts: dict[str, str | int] = {}
    for line in os.pread(fd, _MAX_BYTES, 0).splitlines():
        with contextlib.suppress(ValueError, TypeError):
            facts.update(json.loads(line))
    known = set(Entry._fields)
    try:
        return Entry(**{key: value for key, value in facts.items() if key in known})  # type: ignore[arg-type]
    except TypeError:
        return None
