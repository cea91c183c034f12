"""`pyxl inspect`."""

from pathlib import Path
from typing import Any

import click

from pyxl.files.inspect import Inspection, inspect
from pyxl.files.opened import settled

BROKEN = 1


@click.command("inspect", short_help="Show what is in a checkpoint.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All of it for programs; pyxl/cli/README.md has its members.")
@click.option("--config", "config", is_flag=True, help="The guest's config alone.")
@click.option("--format", "form", type=click.Choice(["json", "cfg"]), help="The config's; cfg is what create takes.")
@click.option("--html", type=click.Path(path_type=Path), metavar="PAGE", help="A page with a picture of the memory.")
@click.option("--zero", is_flag=True, help="Read all pages, and say how many are zero.")
def inspect_command(file: Path, as_json: bool, config: bool, form: str | None, html: Path | None, zero: bool) -> int:
    """Show which guest FILE holds, whether it is whole, and every record in it; needs neither root nor Xen.

    FILE may be a checkpoint of a repository, REPO@N.  The guest's memory is read only with --zero and --html.  A broken
    file is shown up to its fault.

    Exit status: 0 its framing is whole, 1 it is not, or it cannot be read.

    \b
    Example:
        pyxl inspect /srv/web1.checkpoint
    """
    file = settled(file)
    if config or form:
        click.echo(_config(file, form or "json"), nl=False)
        return 0
    found = inspect(file, contents=as_json or html is not None)
    if html:
        from pyxl.cli import inspect_page
        from pyxl.files.output import output

        with output(html, file) as out:
            out.write(inspect_page.html(file, found))
        return BROKEN if found.errors else 0
    zeros = None
    if zero:
        from pyxl.files.guest_memory import zero_pages

        zeros = zero_pages(file)
    if as_json:
        import json

        click.echo(json.dumps(document(found) | {"zero_pages": zeros}, indent=2))
    else:
        from pyxl.cli.inspect_text import lines

        click.echo("\n".join(lines(found, zeros)))
    return BROKEN if found.errors else 0


def document(found: Inspection) -> dict[str, Any]:
    """Return an inspection, as JSON has it."""
    return {
        **found._asdict(),
        "guest": found.guest._asdict(),
        "saved": found.saved.members(),
        "records": [record._asdict() for record in found.records],
    }


def _config(file: Path, form: str) -> str:
    from pyxl.files.inspect import guest_config

    config = guest_config(file)
    if form == "json":
        return config.to_json()
    from pyxl.formats.xlcfg.writer import text

    return text(config.document)
