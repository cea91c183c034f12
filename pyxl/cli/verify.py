"""`pyxl verify`."""

import json
from pathlib import Path

import click

from pyxl.cli import progress
from pyxl.errors import StreamError
from pyxl.formats.trailer import Trailer
from pyxl.ops.verify import verify

BROKEN = 1
#: Neither success nor failure: a script that deletes what it has verified must not go on.
UNKNOWN = 3


@click.command("verify", short_help="Check checkpoint files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
def verify_command(files: tuple[Path, ...]) -> int:
    """Check each FILE to its last bit, and say in one line of what it is a save; needs neither root nor Xen.

    Exit status: 0 all are as they were saved, 1 one is broken or cannot be read, 3 none is, but xl wrote one: it has
    no checksums, and that its framing is right says nothing about the memory in it.
    """
    statuses = set()
    for path in files:
        status, said = _verified(path)
        statuses.add(status)
        click.echo(f"{path}: {said}")
    return BROKEN if BROKEN in statuses else max(statuses)


def _verified(path: Path) -> tuple[int, str]:
    """Return the exit status for one file, and its line."""
    try:
        found = verify(path)
    except StreamError as error:
        return BROKEN, f"broken: {error}"
    except OSError as error:
        return BROKEN, error.strerror or str(error)
    if found is None:
        return UNKNOWN, "framing is whole, no checksums (written by xl)"
    return 0, _whole(found)


def _whole(found: Trailer) -> str:
    by = found.identity
    saved = by.saved.replace("T", " ").replace("Z", " UTC")
    said = f"whole: {json.dumps(by.name)}, {progress.size(found.covered)}, saved {saved} on {by.host} by pyxl {by.pyxl}"
    versions = [f"{what} {version}" for what, version in (("Xen", by.xen), ("qemu", by.qemu)) if version]
    if versions:
        said += f" ({', '.join(versions)})"
    # A file of others may say anything, to a terminal too.
    return "".join(letter if letter.isprintable() else "?" for letter in said)
