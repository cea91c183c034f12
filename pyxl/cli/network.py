"""The network cards of running guests: `network-list`, `network-attach`, `network-detach`."""

import json

import click

from pyxl.cli import progress, wiring
from pyxl.ops import network
from pyxl.ops.lookup import find, find_guest, name_of


@click.command("network-list", short_help="List the network cards of domains.")
@click.option("--json", "as_json", is_flag=True, help="For programs; pyxl/cli/README.md has its members.")
@click.argument("domains", nargs=-1, required=True, metavar="DOMAIN…")
@click.pass_obj
def network_list_command(verbose: bool, as_json: bool, domains: tuple[str, ...]) -> None:
    """List the network cards of each DOMAIN, with xl's columns; state 4 is connected, -1 what the guest has not said.

    \b
    Example:
        pyxl network-list web1
    """
    with wiring.on_host("network-list", verbose) as host:
        found = [find(host.xen, host.store, name) for name in domains]
        nics = [nic for domain in found for nic in network.nics(host.store, domain.domid)]
    if as_json:
        click.echo(json.dumps([nic._asdict() for nic in nics], indent=2))
        return
    heads = f"{'Idx':3} {'BE':2} {'Mac Addr.':17} {'handle':6} {'state':5} {'evt-ch':6}"
    click.echo(f"{heads} {'tx-':>5}/{'rx-ring-ref':5} {'BE-path':30}")
    for nic in nics:
        click.echo(
            f"{nic.devid:<3d} {nic.backend_domid:<2d} {nic.mac}{nic.devid:6d} {nic.state:5d} {nic.event_channel:6d} "
            f"{nic.tx_ring_ref:5d}/{nic.rx_ring_ref:<11d} {nic.backend:30}"
        )


@click.command("network-attach", short_help="Give a running domain a network card.")
@click.argument("domain")
@click.argument("spec", nargs=-1, metavar="[KEY=VALUE]…")
@click.pass_obj
def network_attach_command(verbose: bool, domain: str, spec: tuple[str, ...]) -> None:
    """Give DOMAIN, which runs, a network card; each KEY=VALUE is as in a config's vif = […].

    Without mac= it gets a random one. From then on it is in the guest's config: checkpoints and reboots keep it.

    \b
    Example:
        pyxl network-attach web1 bridge=xenbr0 mac=00:16:3e:01:02:03
    """
    nic = wiring.nic(",".join(spec))
    with wiring.on_host("network-attach", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            network.attach(host.xen, host.store, wiring.open_dm, found, nic, report.remark)


@click.command("network-detach", short_help="Take a network card away from a running domain.")
@click.argument("domain")
@click.argument("card", metavar="IDX|MAC")
@click.pass_obj
def network_detach_command(verbose: bool, domain: str, card: str) -> None:
    """Take the network card with network-list's number IDX, or with that MAC, away from DOMAIN.

    \b
    Example:
        pyxl network-detach web1 00:16:3e:01:02:03
    """
    with wiring.on_host("network-detach", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            network.detach(host.xen, host.store, wiring.open_dm, found, card, report.remark)
