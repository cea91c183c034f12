"""The commands that need no more than a domain's name: list, destroy, pause, unpause, domid, domname."""

import click

from pyxl.cli import progress, wiring
from pyxl.errors import PyxlError
from pyxl.model.domain import DomainInfo
from pyxl.ops.lookup import by_name, find, find_guest, name_of


@click.command("list", short_help="List the domains of this host.")
@click.argument("domain", required=False)
@click.pass_obj
def list_command(verbose: bool, domain: str | None) -> None:
    """List all domains, or DOMAIN alone, as xl does: name, domid, MiB, vcpus, state, cpu seconds.

    State: r running, b blocked, p paused, s shut down or suspended, c crashed, d dying.
    """
    with wiring.on_host("list", verbose) as host:
        found = [find(host.xen, host.store, domain)] if domain else host.xen.domains()
        click.echo(f"{'Name':40} {'ID':>5} {'Mem':>5} {'VCPUs':>5}\t{'State'}\tTime(s)")
        for entry in found:
            name = name_of(host.store, entry.domid) or "(no name)"
            line = f"{name:40} {entry.domid:5d} {entry.memory_kb >> 10:5d} {entry.vcpus:5d}"
            click.echo(f"{line}     {_state(entry)}  {entry.cpu_time / 1e9:8.1f}")


def _state(domain: DomainInfo) -> str:
    crashed = domain.shutdown_reason == 3
    flags = (
        (domain.running, "r"), (domain.blocked, "b"), (domain.paused, "p"),
        (domain.shutdown_reason is not None and not crashed, "s"), (crashed, "c"), (domain.dying, "d"),
    )  # fmt: skip
    return "".join(letter if on else "-" for on, letter in flags)


@click.command("destroy", short_help="End a domain at once.")
@click.option("-f", "--force", is_flag=True, help="Even while it is being saved; the save then fails.")
@click.argument("domain")
@click.pass_obj
def destroy_command(verbose: bool, force: bool, domain: str) -> None:
    """End DOMAIN at once, as if its power was cut."""
    from pyxl.ops.destroy import destroy

    with wiring.on_host("destroy", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            destroy(host.xen, host.store, wiring.open_dm, found, report, force=force)


@click.command("pause", short_help="Stop scheduling a domain's vcpus.")
@click.argument("domain")
@click.pass_obj
def pause_command(verbose: bool, domain: str) -> None:
    """Stop scheduling DOMAIN's vcpus; its memory stays where it is."""
    with wiring.on_host("pause", verbose) as host:
        host.xen.pause(find_guest(host.xen, host.store, domain).domid)


@click.command("unpause", short_help="Schedule a paused domain's vcpus again.")
@click.argument("domain")
@click.pass_obj
def unpause_command(verbose: bool, domain: str) -> None:
    """Schedule DOMAIN's vcpus again."""
    with wiring.on_host("unpause", verbose) as host:
        host.xen.unpause(find_guest(host.xen, host.store, domain).domid)


@click.command("domid", short_help="Print the domid of a named domain.")
@click.argument("name")
@click.pass_obj
def domid_command(verbose: bool, name: str) -> None:
    """Print the domid of the domain called NAME."""
    with wiring.on_host("domid", verbose) as host:
        domain = by_name(host.xen, host.store, name)
        if domain is None:
            raise PyxlError(f'there is no domain "{name}"', "`pyxl list` shows those that exist.")
        click.echo(domain.domid)


@click.command("domname", short_help="Print the name of a domid.")
@click.argument("domid", type=int)
@click.pass_obj
def domname_command(verbose: bool, domid: int) -> None:
    """Print the name of domain DOMID."""
    with wiring.on_host("domname", verbose) as host:
        click.echo(name_of(host.store, find(host.xen, host.store, str(domid)).domid))
