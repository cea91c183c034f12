"""`pyxl diff`."""

import json
from pathlib import Path
from typing import Any

import click

from pyxl.cli.diff_text import lines
from pyxl.cli.words import printable
from pyxl.errors import PyxlError, UsageError
from pyxl.files.diff import Difference, diff
from pyxl.files.opened import settled

DIFFERENT = 1


@click.command("diff", short_help="Show what differs between two checkpoints.")
@click.argument("a", metavar="A", type=click.Path(path_type=Path))
@click.argument("b", metavar="B", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All of it for programs; pyxl/cli/README.md has its members.")
@click.option("--html", type=click.Path(path_type=Path), metavar="PAGE", help="A page with a picture of the memory.")
def diff_command(a: Path, b: Path, as_json: bool, html: Path | None) -> int:
    """Show which pages, records, registers and members of the config differ between A and B; needs no Xen.

    A and B may be checkpoints of a repository, REPO@N.  When and where they were saved does not count.

    Exit status: 0 nothing differs, 1 something does, 2 trouble.

    \b
    Example:
        pyxl diff /srv/checkpoints@1 /srv/checkpoints@latest
    """
    try:
        a, b = settled(a), settled(b)
        found = diff(a, b, picture=html is not None)
        if html:
            from pyxl.cli import diff_page
            from pyxl.files.output import output

            with output(html, a, b) as out:
                out.write(diff_page.html(a, b, found))
        elif as_json:
            click.echo(json.dumps(document(a, b, found), indent=2))
        else:
            for line in lines(found):
                click.echo(printable(line))
    except (PyxlError, OSError) as error:
        raise UsageError(str(error), getattr(error, "hint", "")) from error
    return 0 if found.is_same else DIFFERENT


def document(a: Path, b: Path, found: Difference) -> dict[str, Any]:
    """Return what differs, as JSON has it."""
    return {
        "a": str(a),
        "b": str(b),
        "same": found.is_same,
        "pages": found.pages,
        "ranges": [each._asdict() for each in found.ranges],
        "ranges_left_out": found.ranges_left_out,
        "records": [{**each._asdict(), "members": [one._asdict() for one in each.members]} for each in found.records],
        "config": [each._asdict() for each in found.config],
    }
