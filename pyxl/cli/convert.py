"""`pyxl convert`."""

from pathlib import Path

import click

from pyxl import interrupt
from pyxl.cli import progress
from pyxl.cli.target import STDOUT, target_of
from pyxl.cli.words import size
from pyxl.files.convert import convert_file


@click.command("convert", short_help="Convert a checkpoint of Xen 4.2 to 4.5, of a live save, or a compressed one.")
@click.option("--skip-device-state", is_flag=True, help="Leave out what the device model saved: devices start afresh.")
@progress.option
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def convert_command(skip_device_state: bool, mode: str, old: Path, new: Path) -> None:
    """Convert OLD to NEW, which is as xl writes it, and has checksums; needs neither root nor Xen.

    OLD is a legacy checkpoint of Xen 4.2 to 4.5, one of a live save, which has some pages more than once, a compressed
    one, or one of a repository, REPO@N.

    NEW takes its name only when it is whole and on the disk.  `-` is standard input, and standard output.  The guest's
    config is kept; with --skip-device-state one that names qemu-traditional names today's qemu instead.

    \b
    Example:
        pyxl convert /srv/web1.old /srv/web1.checkpoint
    """
    target = target_of(new)
    interrupt.install()
    with progress.shown(mode, lambda _: None) as report:
        done = convert_file(old, target, report, skip_device_state=skip_device_state)
    to = "standard output" if target == STDOUT else new
    said = f'converted {old} ("{done.name}") to {to}: {size(done.size)} in {done.seconds:.1f} s'
    click.echo("".join(letter if letter.isprintable() else "?" for letter in said), err=target == STDOUT)
