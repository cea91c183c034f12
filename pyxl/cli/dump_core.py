"""`pyxl dump-core`."""

from pathlib import Path

import click

from pyxl.cli import progress, wiring
from pyxl.cli.words import size
from pyxl.ops.dump_core import dump_core
from pyxl.ops.lookup import find_guest, name_of


@click.command("dump-core", short_help="Write a domain's memory to a core for gdb.")
@progress.option
@click.argument("domain")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def dump_core_command(verbose: bool, mode: str, domain: str, file: Path) -> None:
    """Write the memory and the registers of DOMAIN to FILE, an ELF core, which gets its name when it is whole.

    The guest is paused meanwhile, and goes on afterwards whatever happens.

    \b
    Example:
        pyxl dump-core web1 /srv/web1.core
    """
    with wiring.on_host("dump-core", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        name = name_of(host.store, found.domid)
        with progress.shown(mode, host.log_to(name)) as report:
            written = dump_core(host.xen, host.store, wiring.open_dm, found, file, report)
        click.echo(f'dumped {found.domid} "{name}" to {file}: {size(written)}')
