"""`pyxl config-update`."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from pyxl.cli import progress, wiring
from pyxl.cli.diff_text import short
from pyxl.cli.words import printable
from pyxl.formats.guest_config import GuestConfig
from pyxl.ops import config_update
from pyxl.ops.lookup import find_guest, name_of

#: Members that are a list of devices, or one of it.
_DEVICES = re.compile(r"[a-z0-9]+s(\.[0-9]+)?")


@click.command("config-update", short_help="Keep another config for a domain's next reboot.")
@click.option("-f", "--defconfig", "file", type=click.Path(path_type=Path), help="The config file.")
@click.option("-q", "quiet", is_flag=True, help="Do not say what the reboot will change.")
@click.argument("domain")
@click.argument("words", nargs=-1, metavar="[FILE] [KEY=VALUE]…")
@click.pass_obj
def config_update_command(verbose: bool, quiet: bool, file: Path | None, domain: str, words: tuple[str, ...]) -> None:
    """Keep FILE, an xl.cfg file, for the next reboot of DOMAIN, and say what that will change.

    Nothing changes before: a device is attached, and memory set, by the commands for that. KEY=VALUE words are added to
    the end of FILE, so that they win. A checkpoint does not have it.

    \b
    Example:
        pyxl config-update web1 /etc/xen/web1.cfg vcpus=2
    """
    settings = tuple(word for word in words if "=" in word)
    names = [word for word in words if "=" not in word]
    if len(names) > (0 if file else 1):
        raise click.UsageError(f'config-update takes one config file; what is "{names[-1]}"?')
    if names:
        file = Path(names[0])
    if file is None:
        raise click.UsageError("config-update needs a config file")
    with wiring.on_host("config-update", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        name = name_of(host.store, found.domid)
        following = wiring.guest_config(file, settings, nodes=host.xen.cpu_nodes())
        text = "\n".join((wiring.config_text(file), *settings, ""))
        with progress.shown("none", host.log_to(name)) as report:
            living = config_update.keep(host.xen, host.store, wiring.open_dm, found, text, report.remark)
    if not quiet:
        click.echo(f'{found.domid} "{name}" takes {file} at its next reboot')
        for line in _changes(living, following):
            click.echo(printable(f"    {line}"))


def _changes(living: GuestConfig, following: GuestConfig) -> Iterator[str]:
    """Yield what will be changed: members that the new config has, since libxl fills in all others, and devices."""
    from pyxl.formats.members import members

    for each in members(living.document, following.document):
        if each.name != "c_info.uuid" and (each.b is not None or _DEVICES.fullmatch(each.name)):
            yield f"{each.name}: now {short(each.a)}, then {short(each.b)}"
