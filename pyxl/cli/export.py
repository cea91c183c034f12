"""`pyxl export`."""

import json
from pathlib import Path

import click

from pyxl import interrupt
from pyxl.cli import progress
from pyxl.cli.target import STDOUT, target_of
from pyxl.cli.words import printable, size
from pyxl.errors import UsageError
from pyxl.files.convert import convert_file
from pyxl.files.opened import settled
from pyxl.repository.reference import reference


@click.command("export", short_help="Write a checkpoint of a repository to a file, as xl writes it.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@progress.option
@click.argument("checkpoint", metavar="REPO@N", type=click.Path(path_type=Path))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def export_command(as_json: bool, mode: str, checkpoint: Path, file: Path) -> None:
    """Write a checkpoint of a repository to FILE, which is as xl writes it, and has checksums; needs no Xen.

    Instead of a number, REPO@ may be followed by `latest`, a guest's name, or a time: the last one until then.

    FILE takes its name only when it is whole and on the disk.  `-` is standard output.

    \b
    Example:
        pyxl export /srv/checkpoints@latest /srv/web1.checkpoint
    """
    if reference(checkpoint) is None:
        hint = "Name one as REPO@7; `pyxl checkpoints REPO` lists them, and `pyxl convert` takes files."
        raise UsageError(f"{checkpoint} is no checkpoint of a repository", hint)
    source, target = settled(checkpoint), target_of(file)
    interrupt.install()
    with progress.shown(mode, lambda _: None) as report:
        done = convert_file(source, target, report, verb="export")
    to = "standard output" if target == STDOUT else file
    said = printable(f'exported {source} ("{done.name}") to {to}: {size(done.size)} in {done.seconds:.1f} s')
    document = {"checkpoint": str(source), "name": done.name, "file": str(file), "size": done.size,
                "seconds": round(done.seconds, 3)}  # fmt: skip
    click.echo(json.dumps(document) if as_json else said, err=target == STDOUT)
