"""Verify a checkpoint, or all of a repository: framing, records, every sum; needs no Xen and builds nothing."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyxl.checkpoint.source import Source, behind
from pyxl.errors import PyxlError, StreamError, UnsupportedStream
from pyxl.files.opened import LegacyView, seen_through
from pyxl.files.whole import damaged, sums
from pyxl.formats.stream import verify as strict
from pyxl.formats.stream import xl_header
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS, UNKNOWN, Finding, Severity
from pyxl.formats.stream.trailer import BLOCK, Trailer
from pyxl.repository.reference import Reference, reference

if TYPE_CHECKING:
    from pyxl.repository.checks import Checks

#: Findings that are kept for a file; more are only counted.
MAX_FINDINGS = 1000


@dataclass(slots=True)
class Verdict:
    """What was found; ``trailer`` is the file's, None where it has none or was not read so far.

    ``size`` is in bytes, 0 of a pipe; ``stored`` is what it takes where it is compressed, else 0.
    ``no_sums`` says whose file it is where it has no checksums, and is empty where it has.
    ``legacy``: offsets are in what `pyxl convert` would make of the file.
    """

    findings: list[Finding] = field(default_factory=list)
    unlisted: int = 0
    worst: Severity | None = None
    trailer: Trailer | None = None
    legacy: bool = False
    no_sums: str = ""
    size: int = 0
    stored: int = 0

    def add(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        else:
            self.unlisted += 1
        order = (None, UNKNOWN, SUSPICIOUS, BROKEN)
        self.worst = max(self.worst, finding.severity, key=order.index)


def verify(path: Path) -> Verdict:
    """Return all that is wrong with a checkpoint, or not known to be right; nothing if it is as it was saved.

    :raise OSError: it cannot be read.
    :raise PyxlError: the repository that it names has no such checkpoint.
    """
    verdict = Verdict()
    named = reference(path)
    for finding in _in_repository(named, None, verdict) if named else _in_file(path, verdict):
        verdict.add(finding)
    return verdict


def verify_each(path: Path) -> Iterator[tuple[Path, Verdict]]:
    """Yield what ``verify`` returns for a checkpoint, or for each one of a repository, whose frames are opened once.

    :raise PyxlError: as ``verify``; or the repository has none.
    """
    named = reference(path)
    if named is None or named.which:
        yield path, verify(path)
        return
    from pyxl.repository.checks import Checks
    from pyxl.repository.repository import Repository

    repository, checks = Repository(named.path), Checks()
    if not (numbers := repository.numbers()):
        raise PyxlError(f"{named.path} has no checkpoints")
    for number in numbers:
        verdict = Verdict()
        try:
            for finding in _in_repository(named._replace(which=str(number)), checks, verdict):
                verdict.add(finding)
        except PyxlError:
            if repository.manifest_path(number).exists():
                raise
            continue  # it was removed just now
        yield Path(f"{named.path}@{number}"), verdict


def _in_file(path: Path, verdict: Verdict) -> Iterator[Finding]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with closing(Source(fd)) as source:
            yield from _of_source(source, verdict)
    except StreamError as error:
        yield strict.broken_by(error, "seek table")
    finally:
        os.close(fd)


def _in_repository(named: Reference, checks: "Checks | None", verdict: Verdict) -> Iterator[Finding]:
    from pyxl.repository.view import viewed

    try:
        with closing(viewed(named, checks)) as view:
            yield from _of_source(view, verdict)
            for name in view.without_hashes():
                said = f"the hashes of {name} are damaged: the next checkpoint writes its pages again"
                yield Finding(view.size, "pack", "hashes", SUSPICIOUS, said)
    except StreamError as error:
        yield strict.broken_by(error, "repository")


def _of_source(source: Source, verdict: Verdict) -> Iterator[Finding]:
    verdict.size, verdict.stored = source.size, source.stored
    try:
        if source.seekable:
            source = seen_through(source)
        header = xl_header.parse(source.take)
        if not header.is_v2:
            raise UnsupportedStream("a legacy stream of Xen 4.5 or older", header.size, "`pyxl convert` takes it.")
        verdict.legacy = isinstance(source, LegacyView)
    except StreamError as error:
        yield strict.broken_by(error, "xl HEADER")
        return
    source.sums.keep(header.algorithm)
    end = yield from strict.findings(header, source.take, source.skip)
    if end is None:
        return
    # On a pipe, the trailer covers all that has passed so far.
    passed = source.sums.all(header.algorithm) if header.has_trailer and not source.seekable else []
    try:
        verdict.trailer = behind(source, header, end)
        for bad in source.damaged():
            yield Finding(bad.offset, "frame", "sum", BROKEN, bad.what)
        if verdict.trailer and verdict.trailer.sums:
            found = sums(source, end, header.algorithm) if source.seekable else passed
            for bad in damaged(verdict.trailer, found):
                yield Finding(bad.offset, f"block {bad.offset // BLOCK + 1}", "sum", BROKEN, bad.what)
        elif not verdict.trailer or not source.is_summed:
            verdict.no_sums = (
                "decompressed: its checksums are in the compressed file" if verdict.trailer
                else "of Xen 4.2 to 4.5" if verdict.legacy else "written by xl"
            )  # fmt: skip
            yield Finding(end, "libxl END", "no-sums", UNKNOWN, f"no checksums behind it ({verdict.no_sums})")
        if verdict.trailer and verdict.trailer.identity.disks:
            yield from _of_disks(verdict.trailer, end)
    except StreamError as error:
        yield strict.broken_by(error, "pyxl TRAILER" if header.has_trailer else "behind libxl END")


def _of_disks(found: Trailer, end: int) -> Iterator[Finding]:
    """Yield which copies of the guest's disks are not what was saved; restore --disks refuses these."""
    from pyxl.disks.copies import changed  # few checkpoints have any

    for disk in found.identity.disks:
        if why := changed(disk):
            yield Finding(end, f"disk {disk.vdev}", "copy", BROKEN, why)
