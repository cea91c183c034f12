"""The conversion journey, in the order that it happens: a checkpoint becomes a file as xl writes it.

It may be a legacy one, one of a live save, a compressed one, or one of a repository.  Needs neither root nor Xen.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.inflow import Inflow
from pyxl.checkpoint.legacy import admit
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.sums import RunningSums
from pyxl.checkpoint.undo import Undo
from pyxl.errors import PyxlError
from pyxl.files.in_order import in_order
from pyxl.files.output import commit, discard
from pyxl.files.whole import identity_of, whole
from pyxl.formats.legacy.convert import convert
from pyxl.formats.stream import trailer, xl_header
from pyxl.formats.stream.trailer import BLOCK, XXH64
from pyxl.formats.stream.xl_header import XlHeader
from pyxl.interrupt import held
from pyxl.model.phases import Owed, Phase
from pyxl.model.report import Report
from pyxl.repository.reference import reference

STDIN = 0


class Converted(NamedTuple):
    """A new checkpoint that is whole and durable: ``size`` in bytes, ``seconds`` that it took."""

    name: str
    size: int
    seconds: float


def convert_file(
    old: Path, new: Path | int, report: Report, *, verb: str = "convert", skip_device_state: bool = False
) -> Converted:
    """Convert a checkpoint (`-` is standard input, REPO@N one of a repository) to a path or a descriptor.

    A legacy one becomes a current one; of a current one, compressed or not, each page is written once, in the order of
    the guest.  ``verb`` is for messages.

    :raise OperationError: it failed, and the target is as it was.
    """
    started = time.monotonic()
    with ExitStack() as opened, Undo(f"{verb} {old}") as undo:
        undo.enter(Phase.OPEN)
        source = _open(old, opened)
        undo.enter(Phase.CHECK_FILE)
        header = xl_header.parse(source.take)
        found = None
        if not header.is_v2:
            header = admit(source, header, skip_device_state)
        elif skip_device_state or not source.seekable:
            raise PyxlError("only a legacy checkpoint can be converted from a pipe, or without its device state")
        else:
            found = whole(source, header)
        identity = identity_of(found, header, time.time())._replace(disks=())  # they stay the other file's

        undo.enter(Phase.OPEN_FILE)
        with held():
            file = NewFile(new)
            undo.by(Owed.FILE, lambda: discard(file))

        undo.enter(Phase.CONVERT)
        report.step("converting")
        target = _Summed(file)
        target.write(xl_header.encode(header.config, header.is_json))
        shown = started
        for piece in in_order(source) if header.is_v2 else _legacy(source, header, skip_device_state):
            target.write(piece)
            if report.interval is not None and time.monotonic() - shown >= report.interval:
                shown = time.monotonic()
                done = target.sums.size
                report.progress(done, max(source.size, done) if source.size else 0)
        size = target.sums.size
        end = trailer.encode(trailer.Trailer(size, target.sums.all(XXH64), identity))
        file.write(end)

        undo.enter(Phase.COMMIT)
        commit(file, report, source.size)
        file.close()
    return Converted(identity.name, size + len(end), time.monotonic() - started)


def _open(path: Path, opened: ExitStack) -> Source:
    """Open a checkpoint for a conversion, which takes also what comes through a pipe."""
    if named := None if str(path) == "-" else reference(path):
        from pyxl.repository.view import viewed

        source: Source = viewed(named)
    else:
        fd = os.dup(STDIN) if str(path) == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, fd)
        source = Source(fd)
    opened.callback(source.close)
    return source


def _legacy(source: Source, header: XlHeader, skip_device_state: bool) -> Iterator[bytes | memoryview]:
    if source.seekable:
        os.lseek(source.fd, header.size, os.SEEK_SET)
    inflow = Inflow(source.fd, header.size)
    yield from convert(inflow, skip_device_state)
    inflow.end()


class _Summed:
    """A new file that is summed while it is written, since each byte passes through here."""

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self.sums = RunningSums(XXH64)

    def write(self, piece: bytes | memoryview) -> None:
        self._file.write(piece)
        before = self.sums.size
        self.sums.add(piece)
        # Full blocks may go to the disk now, which makes the wait at the end short.
        self._file.start_writeback(before // BLOCK * BLOCK, self.sums.size // BLOCK * BLOCK)
