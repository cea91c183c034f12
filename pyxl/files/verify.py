"""Verify a checkpoint: its framing, its records, every sum; needs no Xen and builds nothing."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pyxl.checkpoint.source import Source, behind
from pyxl.checkpoint.sums import BlockReader
from pyxl.errors import BadRecord, StreamError, UnsupportedStream
from pyxl.files.opened import LegacyView, seen_through
from pyxl.formats.stream import verify as strict
from pyxl.formats.stream import xl_header
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS, UNKNOWN, Finding, Severity
from pyxl.formats.stream.trailer import BLOCK, Trailer, block_sum, compare

#: Findings that are kept for a file; more are only counted.
MAX_FINDINGS = 1000


@dataclass(slots=True)
class Verdict:
    """What was found; ``trailer`` is the file's, None where it has none or was not read so far.

    ``size`` is in bytes, 0 of a pipe; ``stored`` is what the file takes where it is compressed, else 0.
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
    """
    verdict = Verdict()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for finding in _findings(fd, verdict):
            verdict.add(finding)
        return verdict
    finally:
        os.close(fd)


def _findings(fd: int, verdict: Verdict) -> Iterator[Finding]:
    try:
        source = Source(fd)
    except StreamError as error:
        yield strict.broken_by(error, "seek table")
        return
    verdict.size, verdict.stored = source.size, source.compressed.stored if source.compressed else 0
    try:
        yield from _of_source(source, verdict)
    finally:
        source.close()


def _of_source(source: Source, verdict: Verdict) -> Iterator[Finding]:
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
    passed = source.sums.all(header.algorithm) if header.has_trailer else []
    try:
        verdict.trailer = behind(source, header, end)
        if source.compressed:
            for bad in source.compressed.damaged():
                yield Finding(bad.offset, "frame", "sum", BROKEN, bad.what)
        if verdict.trailer and verdict.trailer.sums:
            sums = _sums(source, end, header.algorithm) if source.seekable else passed
            yield from _damaged(verdict.trailer, sums)
        elif not verdict.trailer or not source.is_summed:
            verdict.no_sums = (
                "decompressed: its checksums are in the compressed file" if verdict.trailer
                else "of Xen 4.2 to 4.5" if verdict.legacy else "written by xl"
            )  # fmt: skip
            yield Finding(end, "libxl END", "no-sums", UNKNOWN, f"no checksums behind it ({verdict.no_sums})")
    except StreamError as error:
        yield strict.broken_by(error, "pyxl TRAILER" if header.has_trailer else "behind libxl END")


def _sums(source: Source, size: int, algorithm: int) -> Iterator[int]:
    reader = BlockReader(source.fd)
    for start in range(0, size, BLOCK):
        length = min(BLOCK, size - start)
        if source.compressed:  # by another program: pyxl makes no sums twice
            yield block_sum(source.read(start, length), algorithm)
        else:
            yield reader.sum(start, length, algorithm)


def _damaged(found: Trailer, sums: Iterable[int]) -> Iterator[Finding]:
    for index, sum_ in enumerate(sums):
        try:
            compare(found, index, sum_)
        except BadRecord as error:
            yield Finding(error.offset, f"block {index + 1}", "sum", BROKEN, error.what)
