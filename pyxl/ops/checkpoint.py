"""Open a checkpoint and check it as far as is possible before anything is built or destroyed.

Knows no hypervisor.  A restore uses it, and so does the recovery of a save that died.
"""

import calendar
import os
import select
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyxl.checkpoint.checked import CheckedFile, CheckedPipe, checked
from pyxl.checkpoint.owner import is_roots_alone
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.undo import Undo
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.stream import cpu_policy, xl_header
from pyxl.formats.stream.cpu_policy import CpuPolicy
from pyxl.model.phases import Phase
from pyxl.ops import programs
from pyxl.repository.reference import reference

if TYPE_CHECKING:
    from pyxl.checkpoint.converted import ConvertedStream
    from pyxl.checkpoint.decompressed import DecompressedFile
    from pyxl.formats.stream.trailer import Identity
    from pyxl.model.copied import Copied
    from pyxl.repository.reference import Reference
    from pyxl.repository.restored import Unpacked

    Stream = CheckedFile | CheckedPipe | DecompressedFile | ConvertedStream | Unpacked

STDIN = 0
NO_LEGACY = "only a legacy checkpoint's device state can be skipped, and this is none"
#: Seconds that a named pipe may have nothing to read; standard input may wait for as long as its other end does.
WRITER_SECONDS = 60.0


class Checkpoint(NamedTuple):
    """A checkpoint that is open for restore: its ``stream`` is at the first byte behind the header.

    ``is_own``: root owns the file and nobody else may write to it.  ``policy`` is cpu_policy.of_stream's; None also
    for a pipe, which can be read only once, and for a legacy stream, which has none.  ``source`` reads the file apart
    from ``stream``; None in the same cases.  ``identity`` is the trailer's; None in the same cases, and of xl's files.
    """

    path: Path
    is_own: bool
    header: xl_header.XlHeader
    stream: "Stream"
    policy: tuple[bool, CpuPolicy] | None
    source: Source | None = None
    identity: "Identity | None" = None

    @property
    def disks(self) -> "tuple[Copied, ...]":
        """The copies of the guest's disks that belong to it; anybody could name files in one that is not ``is_own``."""
        return self.identity.disks if self.identity and self.is_own else ()

    @property
    def saved(self) -> float | None:
        """When it was saved, in seconds since 1970; of xl's file, when that was written."""
        if self.identity is not None:
            with suppress(ValueError):
                return float(calendar.timegm(time.strptime(self.identity.saved, "%Y-%m-%dT%H:%M:%SZ")))
        elif self.source is not None:
            return os.fstat(self.source.fd).st_mtime
        return None


@contextmanager
def open_checkpoint(path: Path, *, skip_device_state: bool = False) -> Iterator[Checkpoint]:
    """Open a checkpoint (`-` is standard input, REPO@N one of a repository) and check it as far as is possible.

    Checks a file's framing to its end, its trailer, and the sums of the blocks with the config; a pipe's header alone;
    of a repository's the manifest, and that its packs are there.  ``skip_device_state`` is for a legacy one alone: its
    devices start as after power-on.

    :raise PyxlError: there is no such file, or it is no checkpoint, or not a whole one.
    """
    with ExitStack() as opened:
        with Undo(f"restore {path}") as undo:
            undo.enter(Phase.OPEN)
            named = None if str(path) == "-" else reference(path)
            if named is None:
                checkpoint = _of_file(path, skip_device_state, opened, undo)
            elif skip_device_state:
                raise UsageError(NO_LEGACY)
            else:
                checkpoint = _of_repository(named, opened, undo)
        yield checkpoint


def _of_file(path: Path, skip_device_state: bool, opened: ExitStack, undo: Undo) -> Checkpoint:
    # Without O_NONBLOCK a pipe without a writer would block, whatever the signal.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.dup(STDIN) if str(path) == "-" else os.open(path, flags)
    opened.callback(os.close, fd)
    status = os.fstat(fd)
    if stat.S_ISFIFO(status.st_mode) and str(path) != "-":
        _wait_for_writer(fd, path)
    undo.enter(Phase.CHECK_FILE)
    source = Source(fd)
    header = xl_header.parse(source.take)
    policy = None
    stream: Stream
    if not header.is_v2:
        header, stream = _converted(source, header, skip_device_state)
    elif skip_device_state:
        raise UsageError(NO_LEGACY)
    else:
        stream = checked(source, header)
        if source.seekable:
            source.offset = header.size
            policy = cpu_policy.of_stream(source.take, header.size)
    opened.callback(stream.close)
    if not (source.seekable and header.is_v2):
        return Checkpoint(path, is_roots_alone(status), header, stream, policy)
    of_stream = getattr(stream, "trailer", None)
    identity = of_stream and of_stream.identity
    return Checkpoint(path, is_roots_alone(status), header, stream, policy, source, identity)


def _of_repository(named: "Reference", opened: ExitStack, undo: Undo) -> Checkpoint:
    """Open a checkpoint of a repository, of which nothing is removed until it is closed."""
    from pyxl.repository.repository import Repository
    from pyxl.repository.restored import Unpacked
    from pyxl.repository.view import View

    repository = Repository(named.path)
    opened.enter_context(repository.locks.shared())
    number = repository.resolve(named.which)
    undo.enter(Phase.CHECK_FILE)
    view = View(repository, number)
    opened.callback(view.close)
    header = xl_header.parse(view.take)
    stream = Unpacked(view, header)
    opened.callback(stream.close)
    view.offset = header.size
    policy = cpu_policy.of_stream(view.take, header.size)
    is_own = is_roots_alone(repository.manifest_path(number).stat())
    path = Path(f"{named.path}@{number}")
    return Checkpoint(path, is_own, header, stream, policy, view, stream.identity)


def _wait_for_writer(fd: int, path: Path) -> None:
    """Wait until a pipe has something to read, or had a writer that has gone.

    :raise PyxlError: it has neither in time.
    """
    ready = select.poll()
    ready.register(fd, select.POLLIN)
    if not ready.poll(1000 * WRITER_SECONDS):
        raise PyxlError(
            f"nobody has written to the pipe within {WRITER_SECONDS:.0f} s", "Start what writes to it, then restore."
        )
    os.set_blocking(fd, True)


def _converted(
    source: Source, header: xl_header.XlHeader, skip_device_state: bool
) -> "tuple[xl_header.XlHeader, Stream]":
    """Return the header and stream of a legacy checkpoint, which is rare: what it needs is imported only here."""
    from pyxl.checkpoint import legacy
    from pyxl.checkpoint.converted import ConvertedStream

    header = legacy.admit(source, header, skip_device_state)
    return header, ConvertedStream(source, header.size, programs.find(programs.CONVERT_LEGACY), skip_device_state)
