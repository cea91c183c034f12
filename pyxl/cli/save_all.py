"""`pyxl save-all`."""

from pathlib import Path

import click

from pyxl.cli import all_text, options, save_options, wiring
from pyxl.cli.words import printable, tell
from pyxl.model.compression import compression
from pyxl.ops import pyxl_conf
from pyxl.ops.guests_directory import GuestsDirectory
from pyxl.ops.save_all import SaveAll, at_once, names, save_all


@click.command(
    "save-all", cls=save_options.Bare, bare=save_options.COMPRESS,
    short_help="Save all guests, as before this host goes down.",
)  # fmt: skip
@click.option("--order", metavar="NAME,…", help="Guests that come back first, and are saved last.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Save so many at once; one a CPU, up to 4.")
@click.option("--shutdown-instead", is_flag=True, help="Shut down guests that cannot be saved.")
@click.option("--guest-timeout", type=click.IntRange(1), metavar="S", help="Seconds for each save; unlimited.")
@click.option(
    "--shutdown-timeout", type=click.IntRange(1), default=120, metavar="S", help="Seconds for each shutdown; 120.",
)  # fmt: skip
@click.option("--timeout", type=click.IntRange(1), metavar="S", help="Seconds for all; what is not done then is left.")
@click.option("--live", is_flag=True, help="Copy most of the memory while the domains run.")
@options.engine
@click.option("--compress", metavar="[=LEVEL|auto|off]", help="Write zstd frames; auto keeps pace with the disk.")
@save_options.threads
@click.option("--force", is_flag=True, help="Save even where room seems short, or a vNUMA topology is lost.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each guest as JSON.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_obj
def save_all_command(
    verbose: bool, order: str | None, jobs: int | None, shutdown_instead: bool, guest_timeout: int | None,
    shutdown_timeout: int, timeout: int | None, live: bool, engine: str, compress: str | None, threads: int | None,
    force: bool, as_json: bool, directory: Path,
) -> int:  # fmt: skip
    """Save all guests of this host to DIR, and end them; `pyxl restore-all DIR` brings them back.

    All is checked before the first guest is touched: whether each can be saved, and the room for all.  The guest that
    was started last is saved first.  A guest whose save fails runs on, or is shut down with --shutdown-instead; a
    restore-all after the host's next boot starts it again.  No guest is destroyed that is not saved.

    Exit status: 1 if a guest was neither saved nor shut down.

    \b
    Example:
        pyxl save-all /srv/guests
    """
    site = pyxl_conf.read()
    how = compression(compress or site.compress, threads or site.threads)
    given = {
        "--live": live, "--force": force, f"--engine={engine}": engine != "direct",
        f"--compress={compress}": compress, f"--threads={threads}": threads,
    }  # fmt: skip
    asked = SaveAll(
        names(order), tuple(word for word, is_given in given.items() if is_given), jobs or at_once(), shutdown_instead,
        guest_timeout, shutdown_timeout, timeout, force, how is not None,
    )  # fmt: skip
    with wiring.on_host("save-all", verbose) as host, GuestsDirectory(directory, make=True) as place:
        told = all_text.nothing if as_json else all_text.line
        tally = save_all(host.xen, host.store, wiring.open_dm, place, asked, told, _remark)
    return all_text.end(tally, as_json)


def _remark(text: str) -> None:
    tell(printable(f"pyxl: {text}"))
