"""The commands that need no more than a domain's name: list, uptime, destroy, pause, unpause, domid, domname."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from pyxl.cli import wiring
from pyxl.cli.words import printable, ranges
from pyxl.errors import PyxlError, XenError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.ops.lookup import by_name, find, find_guest, name_of

if TYPE_CHECKING:
    from pyxl.model.ports import Store

#: The letter of each reason of a shutdown, by its number.
_REASONS = "-rscwS"


@click.command("list", short_help="List the domains of this host.")
@click.option("-l", "--long", "whole", is_flag=True, help="Their configs, as xl's JSON.")
@click.option("-v", "--verbose", "verbosely", is_flag=True, help="Also UUID, reason code and security label.")
@click.option("-Z", "--context", is_flag=True, help="Also the security label.")
@click.option("-c", "--cpupool", is_flag=True, help="Also the cpupool.")
@click.option("-n", "--numa", is_flag=True, help="Also the NUMA nodes that the memory is to come from.")
@click.option("--clones", is_flag=True, help="The clones of this host, and what they were made of.")
@click.option("--json", "as_json", is_flag=True, help="As a list of objects; pyxl/cli/README.md has their members.")
@click.argument("domains", metavar="[DOMAIN]...", nargs=-1)
@click.pass_obj
def list_command(
    verbose: bool, whole: bool, verbosely: bool, context: bool, cpupool: bool, numa: bool, clones: bool,
    as_json: bool, domains: tuple[str, ...],
) -> None:  # fmt: skip
    """List all domains, or each DOMAIN, as xl does: name, domid, MiB, vcpus, state, cpu seconds.

    State: r running, b blocked, p paused, s shut down, and then why: r reboot, s suspend, c crash, w watchdog, S soft
    reset, - power off; d dying.

    \b
    Example:
        pyxl list -v web1
    """
    with wiring.on_host("list", verbose) as host:
        if clones:
            from pyxl.cli.clones_text import show

            show(host.xen, domains, as_json)
            return
        found = [find(host.xen, host.store, domain) for domain in domains] if domains else host.xen.domains()
        if whole or as_json:
            import json

            objects = _configs(host, found) if whole else [_members(host.store, entry) for entry in found]
            click.echo(json.dumps(objects, indent=4, ensure_ascii=not whole))
            return
        nodes = len(host.xen.topology.nodes()) if numa else 0
        more = [
            ("   UUID                            Reason-Code\tSecurity Label", verbosely),
            ("   Security Label", context and not verbosely), ("         Cpupool", cpupool), (" NODE Affinity", numa),
        ]  # fmt: skip
        head = "".join(text for text, wanted in more if wanted)
        click.echo(f"{'Name':40} {'ID':>5} {'Mem':>5} {'VCPUs':>5}\t{'State'}\tTime(s){head}")
        for entry in found:
            name = printable(name_of(host.store, entry.domid) or "(no name)")
            line = f"{name:40} {entry.domid:5d} {entry.memory_kb >> 10:5d} {entry.vcpus:5d}"
            line += f"     {state(entry)}  {entry.cpu_time / 1e9:8.1f}"
            if verbosely:
                reason = "-" if entry.shutdown_reason is None else f"{int(entry.shutdown_reason):x}"
                line += f" {entry.uuid} {reason:>8}"
            if verbosely or context:
                line += f" {host.xen.security_label(entry.domid) or '-':>16}"
            if cpupool:
                line += f"{host.store.read(paths.pool_name(entry.pool)) or '-':>16}"
            if numa:
                line += f" {ranges(host.xen.topology.node_affinity(entry.domid), nodes)}"
            click.echo(line)


def state(domain: DomainInfo) -> str:
    """Return a domain's state as xl writes it."""
    reason = domain.shutdown_reason
    why = "-" if reason is None else _REASONS[reason] if reason < len(_REASONS) else "?"
    flags = (
        (domain.running, "r"), (domain.blocked, "b"), (domain.paused, "p"), (reason is not None, "s"), (True, why),
        (domain.dying, "d"),
    )  # fmt: skip
    return "".join(letter if on else "-" for on, letter in flags)


def _configs(host: wiring.Host, domains: list[DomainInfo]) -> list[dict[str, object]]:
    """Return domid and config of each domain, but for those that have none because they are going away."""
    import json

    found: list[dict[str, object]] = []
    for domain in domains:
        with suppress(XenError):
            found.append({"domid": domain.domid, "config": json.loads(host.xen.config_json(domain.domid))})
    return found


def _members(store: "Store", domain: DomainInfo) -> dict[str, object]:
    reason = domain.shutdown_reason
    return {
        "domid": domain.domid,
        "name": name_of(store, domain.domid),
        "uuid": domain.uuid,
        "type": store.read(paths.domain_type(domain.domid)),
        "memory": domain.memory_kb << 10,
        "vcpus": domain.vcpus,
        "state": state(domain),
        "shutdown_reason": reason.name.lower() if isinstance(reason, ShutdownReason) else reason,
        "cpu_seconds": domain.cpu_time / 1e9,
        "cpupool": store.read(paths.pool_name(domain.pool)),
    }


@click.command("uptime", short_help="Print for how long domains have been up.")
@click.option("-s", "short", is_flag=True, help="A line each as uptime prints it, without seconds.")
@click.argument("domains", metavar="[DOMAIN]...", nargs=-1)
@click.pass_obj
def uptime_command(verbose: bool, short: bool, domains: tuple[str, ...]) -> None:
    """Print for how long all domains, or each DOMAIN, have been up; a restored one since its restore.

    \b
    Example:
        pyxl uptime web1
    """
    with wiring.on_host("uptime", verbose) as host:
        found = [find(host.xen, host.store, domain) for domain in domains] if domains else host.xen.domains()
        now = int(time.time())
        if not short:
            click.echo(f"{'Name':33} {'ID':>4} Uptime")
        for entry in found:
            seconds = _up(host.store, entry.domid, now)
            if seconds is None:
                continue
            name = printable(name_of(host.store, entry.domid))
            if short:
                clock = time.strftime("%H:%M:%S", time.localtime(now))
                click.echo(f" {clock} up {duration(seconds)[:-3]}, {name} ({entry.domid})")
            else:
                click.echo(f"{name:33} {entry.domid:4d} {duration(seconds)}")


def _up(store: "Store", domid: int, now: int) -> int | None:
    """Return for how many seconds a domain has been up; None where that is not known, as of a stub domain."""
    if domid == 0:
        with open("/proc/uptime") as file:
            return int(float(file.read().split()[0]))
    started = store.read(f"{store.read(paths.vm(domid))}/start_time") or ""
    return now - int(float(started)) if started else None


def duration(seconds: int) -> str:
    """Return a number of seconds as days, hours, minutes and seconds."""
    days, rest = divmod(seconds, 86400)
    text = f"{rest // 3600:2d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} day{'s' if days > 1 else ''}, {text}" if days else text


@click.command("destroy", short_help="End a domain at once.")
@click.option("-f", "--force", is_flag=True, help="Even while it is being saved; the save then fails.")
@click.argument("domain")
@click.pass_obj
def destroy_command(verbose: bool, force: bool, domain: str) -> None:
    """End DOMAIN at once, as if its power was cut.

    \b
    Example:
        pyxl destroy web1
    """
    from pyxl.cli import progress
    from pyxl.ops.destroy import destroy

    with wiring.on_host("destroy", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            destroy(host.xen, host.store, wiring.open_dm, found, report, force=force)


@click.command("pause", short_help="Stop scheduling a domain's vcpus.")
@click.argument("domain")
@click.pass_obj
def pause_command(verbose: bool, domain: str) -> None:
    """Stop scheduling DOMAIN's vcpus; its memory stays where it is.

    \b
    Example:
        pyxl pause web1
    """
    with wiring.on_host("pause", verbose) as host:
        host.xen.pause(find_guest(host.xen, host.store, domain).domid)


@click.command("unpause", short_help="Schedule a paused domain's vcpus again.")
@click.argument("domain")
@click.pass_obj
def unpause_command(verbose: bool, domain: str) -> None:
    """Schedule DOMAIN's vcpus again.

    \b
    Example:
        pyxl unpause web1
    """
    with wiring.on_host("unpause", verbose) as host:
        host.xen.unpause(find_guest(host.xen, host.store, domain).domid)


@click.command("domid", short_help="Print the domid of a named domain.")
@click.argument("name")
@click.pass_obj
def domid_command(verbose: bool, name: str) -> None:
    """Print the domid of the domain called NAME.

    \b
    Example:
        pyxl domid web1
    """
    with wiring.on_host("domid", verbose) as host:
        domain = by_name(host.xen, host.store, name)
        if domain is None:
            raise PyxlError(f'there is no domain "{name}"', "`pyxl list` shows those that exist.")
        click.echo(domain.domid)


@click.command("domname", short_help="Print the name of a domid.")
@click.argument("domid", type=int)
@click.pass_obj
def domname_command(verbose: bool, domid: int) -> None:
    """Print the name of domain DOMID.

    \b
    Example:
        pyxl domname 0
    """
    with wiring.on_host("domname", verbose) as host:
        click.echo(name_of(host.store, find(host.xen, host.store, str(domid)).domid))
