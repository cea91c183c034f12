"""`pyxl restore-all`."""

from collections.abc import Iterator
from pathlib import Path

import click

from pyxl.cli import all_text, wiring
from pyxl.cli.words import printable, tell
from pyxl.errors import PyxlError
from pyxl.ops.guests_directory import GuestsDirectory
from pyxl.ops.restore_all import RestoreAll, restore_all
from pyxl.ops.save_all import at_once, names


@click.command("restore-all", short_help="Bring back the guests that save-all saved.")
@click.option("--order", metavar="NAME,…", help="Guests that come back before all others.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Restore so many at once; one a CPU, up to 4.")
@click.option("--guest-timeout", type=click.IntRange(1), metavar="S", help="Seconds for each; as many as it needs.")
@click.option("--timeout", type=click.IntRange(1), metavar="S", help="Seconds for all; the others stay in DIR.")
@click.option("--auto", type=click.Path(path_type=Path), metavar="CONFIGS", help="Then start what these files say.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each guest as JSON.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_obj
def restore_all_command(
    verbose: bool, order: str | None, jobs: int | None, guest_timeout: int | None, timeout: int | None,
    auto: Path | None, as_json: bool, directory: Path,
) -> int:  # fmt: skip
    """Bring back the guests in DIR, where `pyxl save-all DIR` left them.

    A guest with a checkpoint is restored, and its checkpoint removed once it runs: restored a second time, an old
    memory would destroy the disks that have gone on.  One that was shut down, or was not saved when the host went
    down, is started.  One that runs already is left alone.  What cannot be restored stays in DIR.

    Exit status: 1 if a guest did not come back.

    \b
    Example:
        pyxl restore-all /srv/guests
    """
    with wiring.on_host("restore-all", verbose) as host, GuestsDirectory(directory, make=True) as place:
        asked = RestoreAll(
            names(order), jobs or at_once(), guest_timeout, timeout, tuple(_configs(auto, host) if auto else ())
        )
        told = all_text.nothing if as_json else all_text.line
        tally = restore_all(host.xen, host.store, place, asked, told, _remark)
    return all_text.end(tally, as_json)


def _configs(directory: Path, host: wiring.Host) -> Iterator[tuple[str, Path]]:
    """Yield the name of the guest of each config file, and the file; one that is wrong is left to its create."""
    for file in sorted(directory.iterdir()) if directory.is_dir() else ():
        if file.is_file() and not file.name.startswith("."):
            try:
                yield wiring.guest_config(file, nodes=host.xen.cpu_nodes()).name, file
            except PyxlError:
                yield file.name, file


def _remark(text: str) -> None:
    tell(printable(f"pyxl: {text}"))
