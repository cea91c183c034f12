"""`pyxl import`."""

import json
from pathlib import Path

import click

from pyxl import interrupt
from pyxl.cli import progress
from pyxl.cli.checkpoints_text import document
from pyxl.cli.words import printable, size
from pyxl.files.importing import import_file


@click.command("import", short_help="Put a checkpoint file into a repository.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@progress.option
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path))
def import_command(as_json: bool, mode: str, file: Path, repository: Path) -> None:
    """Put the checkpoint in FILE into the repository REPO, which is made if it is missing; needs no Xen.

    FILE is any checkpoint of an HVM or PVH guest: one of xl's or pyxl's, compressed, of a live save, of Xen 4.2 to 4.5,
    or one of another repository.  It is checked before anything is written.  Only pages that differ from the guest's
    newest checkpoint in REPO are written.

    \b
    Example:
        pyxl import /srv/web1.checkpoint /srv/checkpoints
    """
    interrupt.install()
    with progress.shown(mode, lambda _: None) as report:
        done = import_file(file, repository, report)
    facts = done.share.facts
    new = f"{facts.new} of {facts.pages} pages are new, {size(done.share.own)}"
    said = printable(f'imported {file} ("{facts.name}") to {done.path}: {new} in {done.seconds:.1f} s')
    click.echo(json.dumps(document(repository, done.share)) if as_json else said)
