"""The conversion journey, in the order that it happens: a legacy or live checkpoint becomes one as xl writes it.

Needs neither root nor Xen.
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
from pyxl.checkpoint.source import Source, behind
from pyxl.checkpoint.sums import RunningSums
from pyxl.checkpoint.undo import Undo
from pyxl.checkpoint.worker import Worker
from pyxl.errors import PyxlError
from pyxl.files.in_order import in_order
from pyxl.formats.legacy.convert import convert
from pyxl.formats.legacy.old_config import OldConfig
from pyxl.formats.stream import trailer, walk, xl_header
from pyxl.formats.stream.trailer import BLOCK, XXH64, Identity
from pyxl.formats.stream.xl_header import XlHeader
from pyxl.interrupt import held, last_chance
from pyxl.model.phases import Owed, Phase
from pyxl.model.report import Report

STDIN = 0


class Converted(NamedTuple):
    """A new checkpoint that is whole and durable: ``size`` in bytes, ``seconds`` that it took."""

    name: str
    size: int
    seconds: float


def convert_file(old: Path, new: Path | int, report: Report, *, skip_device_state: bool = False) -> Converted:
    """Convert a checkpoint (`-` is standard input) to a path or a descriptor.

    A legacy one becomes a current one; of a current one, compressed or not, each page is written once, in the order of
    the guest.

    :raise OperationError: it failed, and the target is as it was.
    """
    started = time.monotonic()
    with ExitStack() as opened, Undo(f"convert {old}") as undo:
        undo.enter(Phase.OPEN)
        fd = os.dup(STDIN) if str(old) == "-" else os.open(old, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, fd)
        undo.enter(Phase.CHECK_FILE)
        source = Source(fd)
        opened.callback(source.close)
        header = xl_header.parse(source.take)
        identity: Identity | None = None
        if header.is_v2:
            identity = _whole(source, header, skip_device_state)
        else:
            header = admit(source, header, skip_device_state)

        undo.enter(Phase.OPEN_FILE)
        with held():
            file = NewFile(new)
            undo.by(Owed.FILE, lambda: _discard(file))

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
        config = OldConfig(header)
        identity = identity or trailer.identity(config.uuid, config.name, time.time(), os.uname().nodename, "", "")
        size = target.sums.size
        end = trailer.encode(trailer.Trailer(size, target.sums.all(XXH64), identity))
        file.write(end)

        undo.enter(Phase.COMMIT)
        report.step("waiting for the disk")
        report.progress(source.size, source.size)
        syncing = Worker(file.sync)
        syncing.start()
        syncing.result()
        last_chance()
        file.commit()
        file.close()
    return Converted(config.name, size + len(end), time.monotonic() - started)


def _whole(source: Source, header: XlHeader, skip_device_state: bool) -> Identity | None:
    """Check the framing of a current checkpoint to its end, and return its identity, None where xl wrote it."""
    if skip_device_state or not source.seekable:
        raise PyxlError("only a legacy checkpoint can be converted from a pipe, or without its device state")
    found = behind(source, header, walk.end_of_stream(source.take, source.skip, header.size))
    return found.identity if found else None


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


def _discard(file: NewFile) -> str | None:
    """Close a file that does not become a checkpoint, and say so; say nothing if it has its name already."""
    has_name = file.committed
    file.close()
    return None if has_name else "nothing written"
