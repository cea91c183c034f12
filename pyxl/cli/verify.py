"""`pyxl verify`."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from pyxl.cli.words import compressed, printable, size
from pyxl.errors import PyxlError
from pyxl.files.verify import Verdict, verify_each
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS, UNKNOWN, Finding
from pyxl.formats.stream.trailer import Trailer

#: By the worst of all findings.  3 is neither success nor failure: a script that deletes what it has verified must
#: not go on.
STATUS = {None: 0, UNKNOWN: 3, SUSPICIOUS: 3, BROKEN: 1}


@click.command("verify", short_help="Check checkpoint files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file, on a line of its own.")
def verify_command(files: tuple[Path, ...], as_json: bool) -> int:
    """Check each FILE to its last bit, and say in one line which guest it holds; needs neither root nor Xen.

    FILE may be a checkpoint of a repository, REPO@N, or all of them, REPO.

    Each finding has a line: how bad, which record, what, where, and which rule (pyxl/formats/stream/README.md).

    Exit status: 0 all are as they were saved, 1 one is broken or cannot be read, 3 none is, but one is suspicious, or
    xl wrote it: such a file has no checksums, and its memory may be anything.

    \b
    Example:
        pyxl verify /srv/web1.checkpoint /srv/checkpoints
    """
    statuses = set()
    for path, verdict in (each for file in files for each in _verified(file)):
        statuses.add(STATUS[verdict.worst])
        for line in [_as_json(path, verdict)] if as_json else _lines(verdict):
            click.echo(line if as_json else f"{path}: {line}")
    return STATUS[BROKEN] if STATUS[BROKEN] in statuses else max(statuses)


def _verified(path: Path) -> Iterator[tuple[Path, Verdict]]:
    try:
        yield from verify_each(path)
    except (OSError, PyxlError) as error:
        verdict = Verdict()
        said = error.strerror if isinstance(error, OSError) else None
        verdict.add(Finding(0, "file", "unreadable", BROKEN, said or str(error)))
        yield path, verdict


def _lines(verdict: Verdict) -> list[str]:
    lines = [printable(str(finding)) for finding in verdict.findings if finding.severity is not UNKNOWN]
    if verdict.unlisted:
        lines.append(f"{verdict.unlisted} more")
    if verdict.worst is not BROKEN:
        who = verdict.no_sums + (", seen as converted" if verdict.legacy else "")
        which = [f"framing is whole, no checksums ({who})" if who else "whole"]
        lines.append(": ".join(which + ([_which(verdict.trailer)] if verdict.trailer else [])))
        lines[-1] += f";{said}" if (said := compressed(verdict.size, verdict.stored)) else ""
    return lines


def _as_json(path: Path, verdict: Verdict) -> str:
    findings = [{**finding._asdict(), "severity": finding.severity.value} for finding in verdict.findings]
    identity = verdict.trailer.identity if verdict.trailer else None
    said = {
        "file": str(path), "verdict": verdict.worst.value if verdict.worst else "clean", "findings": findings,
        "unlisted": verdict.unlisted, "legacy": verdict.legacy, "size": verdict.size, "stored": verdict.stored,
        "identity": identity.members() if identity else None,
    }  # fmt: skip
    return json.dumps(said)


def _which(found: Trailer) -> str:
    by = found.identity
    saved = by.saved.replace("T", " ").replace("Z", " UTC")
    said = f"{json.dumps(by.name)}, {size(found.covered)}, saved {saved} on {by.host} by pyxl {by.pyxl}"
    versions = [f"{what} {version}" for what, version in (("Xen", by.xen), ("qemu", by.qemu)) if version]
    if versions:
        said += f" ({', '.join(versions)})"
    return printable(said)
