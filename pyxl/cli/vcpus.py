"""The command that lists vcpus: where they run, and where they may."""

from collections.abc import Iterator

import click

from pyxl.cli import wiring
from pyxl.cli.words import printable, ranges
from pyxl.model.domain import Vcpu
from pyxl.ops.lookup import find, name_of


@click.command("vcpu-list", short_help="List the vcpus of domains.")
@click.argument("domains", metavar="[DOMAIN]...", nargs=-1)
@click.pass_obj
def vcpu_list_command(verbose: bool, domains: tuple[str, ...]) -> None:
    """List the vcpus of all domains, or of each DOMAIN, as xl does: CPU, state, cpu seconds, affinity.

    State: r running, b blocked, p offline.

    \b
    Example:
        pyxl vcpu-list web1
    """
    with wiring.on_host("vcpu-list", verbose) as host:
        found = [find(host.xen, host.store, domain) for domain in domains] if domains else host.xen.domains()
        cpus = host.xen.topology.cpu_count()
        click.echo(f"{'Name':32} {'ID':>5} {'VCPU':>5} {'CPU':>5} {'State':>5} {'Time(s)':>9} Affinity (Hard / Soft)")
        for domain in found:
            name = name_of(host.store, domain.domid) or "(no name)"
            for line in lines(printable(name), domain.domid, host.xen.vcpus(domain.domid), cpus):
                click.echo(line)


def lines(name: str, domid: int, vcpus: list[Vcpu], cpus: int) -> Iterator[str]:
    """Yield the line of each vcpu of a domain, on a host whose CPUs have numbers below ``cpus``."""
    for vcpu in vcpus:
        place = f"{'-':>5} {'--p':>5}"
        if vcpu.online:
            place = f"{vcpu.cpu:5d}   {'r' if vcpu.running else '-'}{'b' if vcpu.blocked else '-'}-"
        affinity = f"{ranges(vcpu.hard, cpus)} / {ranges(vcpu.soft, cpus)}"
        yield f"{name:32} {domid:5d} {vcpu.number:5d}{place} {vcpu.cpu_time / 1e9:9.1f}  {affinity}"
