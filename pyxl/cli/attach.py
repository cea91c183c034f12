"""The commands that become another program, which shows a guest's console or display: console, vncviewer."""

import click

from pyxl.cli import wiring
from pyxl.ops import attach
from pyxl.ops.attach import Console
from pyxl.ops.lookup import find_guest


@click.command("console", short_help="Attach to a domain's console.")
@click.option(
    "-t", "kind", type=click.Choice(["pv", "serial", "vuart"]),
    help="Which type of console; without it, the serial one of an HVM guest, the PV one of any other.",
)  # fmt: skip
@click.option("-n", "number", type=click.IntRange(min=0), default=0, help="Which of the consoles of that type.")
@click.option("-e", "escape", metavar="LETTER", help="What ends it, with ctrl, instead of ] (Xen 4.18 and later).")
@click.argument("domain")
@click.pass_obj
def console_command(verbose: bool, kind: str | None, number: int, escape: str | None, domain: str) -> None:
    """Attach to DOMAIN's console; ctrl-] ends that.

    \b
    Example:
        pyxl console web1
    """
    with wiring.on_host("console", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        attach.console(host.xen, host.store, found, Console[kind.upper()] if kind else Console.PRIMARY, number, escape)


@click.command("vncviewer", short_help="Show a domain's display.")
@click.option(
    "-a", "--autopass", "--vncviewer-autopass", "autopass", is_flag=True, help="Give the viewer the password.",
)  # fmt: skip
@click.argument("domain")
@click.pass_obj
def vncviewer_command(verbose: bool, autopass: bool, domain: str) -> None:
    """Show DOMAIN's display with vncviewer, or with what VNCVIEWER names.

    \b
    Example:
        pyxl vncviewer web1
    """
    with wiring.on_host("vncviewer", verbose) as host:
        attach.vncviewer(host.xen, host.store, find_guest(host.xen, host.store, domain), autopass=autopass)
