"""The memory of running domains: `mem-set`, `mem-max`."""

import re

import click

from pyxl.cli import progress, wiring
from pyxl.ops import memory
from pyxl.ops.lookup import find, name_of

_SIZE = re.compile(r"([0-9]{1,15})([bkmgt]?)", re.IGNORECASE)
#: Powers of 1024 in KiB.
_UNITS = {"b": -1, "k": 0, "": 1, "m": 1, "g": 2, "t": 3}


class Size(click.ParamType):  # type: ignore[type-arg]  # older releases of click have no type here
    """An amount of memory as xl takes it, MiB where no unit is named; in KiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = _SIZE.fullmatch(str(value))
        kb = int(int(match[1]) * 1024 ** _UNITS[match[2].lower()]) if match else 0
        if not 0 < kb < 1 << 52:
            self.fail(f'"{value}" is no amount of memory: such as 512, 512m, 1g', param, ctx)
        return kb


@click.command("mem-set", short_help="Set how much memory a domain is to have.")
@click.argument("domain")
@click.argument("size", type=Size(), metavar="MEM[b|k|m|g|t]")
@click.pass_obj
def mem_set_command(verbose: bool, domain: str, size: int) -> None:
    """Tell DOMAIN to have MEM MiB of memory, or as many bytes, KiB, … as its unit says; Xen gives it no more than that.

    The guest's balloon driver gives memory back, or takes it, in its own time. From then on it is in the guest's
    config: checkpoints and reboots keep it.

    \b
    Example:
        pyxl mem-set web1 512
    """
    with wiring.on_host("mem-set", verbose) as host:
        found = find(host.xen, host.store, domain)
        name = name_of(host.store, found.domid)
        with progress.shown("none", host.log_to(name)) as report:
            memory.set_memory(host.xen, host.store, wiring.open_dm, found, size, report.remark)
        click.echo(f'{found.domid} "{name}" is to have {_shown(size)}; it has {_shown(found.memory_kb)}')


@click.command("mem-max", short_help="Set the most memory that a domain may be told to have.")
@click.argument("domain")
@click.argument("size", type=Size(), metavar="MEM[b|k|m|g|t]")
@click.pass_obj
def mem_max_command(verbose: bool, domain: str, size: int) -> None:
    """Let DOMAIN be told to have up to MEM MiB of memory, or as many bytes, KiB, … as its unit says.

    It is in the guest's config from then on, as maxmem.

    \b
    Example:
        pyxl mem-max web1 1024
    """
    with wiring.on_host("mem-max", verbose) as host:
        found = find(host.xen, host.store, domain)
        name = name_of(host.store, found.domid)
        with progress.shown("none", host.log_to(name)) as report:
            memory.set_most(host.xen, host.store, wiring.open_dm, found, size, report.remark)
        click.echo(f'{found.domid} "{name}" may have up to {_shown(size)}')


def _shown(kb: int) -> str:
    return f"{kb} KiB" if kb % 1024 and kb < 1 << 20 else f"{kb / 1024:.0f} MiB"
