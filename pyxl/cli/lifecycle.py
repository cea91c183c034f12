"""The commands that ask a guest for something, or do it from outside: shutdown, reboot, rename, trigger, sysrq."""

from functools import partial

import click

from pyxl.cli import wiring
from pyxl.cli.words import printable, tell, tell_error
from pyxl.errors import UsageError
from pyxl.model.domain import Trigger
from pyxl.ops import outside, shutdown
from pyxl.ops.lookup import find_guest, name_of
from pyxl.ops.shutdown import Order

_all = click.option("-a", "--all", "everyone", is_flag=True, help="All guests of this host.")
_wait = click.option(
    "-w", "--wait", count=True,
    help="Wait until each guest has shut down, and say how it ended; -ww waits until its domain is gone.",
)  # fmt: skip


@click.command("shutdown", short_help="Ask domains to power off.")
@_all
@_wait
@click.option("-F", "acpi", is_flag=True, help="Press the power button of a guest without PV drivers.")
@click.argument("domain", required=False)
@click.pass_obj
def shutdown_command(verbose: bool, everyone: bool, wait: int, acpi: bool, domain: str | None) -> int:
    """Ask DOMAIN, or all guests at once, to power off, and wait until each has acknowledged that.

    A request that is not acknowledged within 60 s is withdrawn. One guest that cannot be asked does not keep the others
    from it; the exit status is then 1.

    \b
    Example:
        pyxl shutdown -w web1
    """
    return _ask(Order.SHUTDOWN, verbose, everyone, wait, acpi, domain)


@click.command("reboot", short_help="Ask domains to reboot.")
@_all
@_wait
@click.option("-F", "acpi", is_flag=True, help="Press the reset button of a guest without PV drivers.")
@click.argument("domain", required=False)
@click.pass_obj
def reboot_command(verbose: bool, everyone: bool, wait: int, acpi: bool, domain: str | None) -> int:
    """Ask DOMAIN, or all guests at once, to reboot, and wait until each has acknowledged that.

    The guest's monitor then builds it anew, as `on_reboot` of its config says; it gets another domid.

    \b
    Example:
        pyxl reboot web1
    """
    return _ask(Order.REBOOT, verbose, everyone, wait, acpi, domain)


def _ask(order: Order, verbose: bool, everyone: bool, wait: int, acpi: bool, domain: str | None) -> int:
    if everyone == (domain is not None):
        raise UsageError(
            f"{order.command} takes a domain, or -a for all guests", f"`pyxl {order.command} --help` says more."
        )
    with wiring.on_host(order.command, verbose) as host:
        xen, store = host.xen, host.store
        guests = shutdown.everyone(xen, store) if domain is None else [find_guest(xen, store, domain)]
        say = partial(_say, host)
        failed = shutdown.ask(xen, store, wiring.open_dm, order, guests, say, acpi=acpi)
        for error in failed.values():
            tell_error(error)
        if wait:
            asked = [guest for guest in guests if guest.domid not in failed]
            shutdown.wait(xen, store, asked, say, until_gone=wait > 1)
    return 1 if failed else 0


def _say(host: wiring.Host, name: str, text: str) -> None:
    """Print a line about a domain, and write it to its log."""
    tell(printable(text))
    host.log_to(name)(text)


@click.command("rename", short_help="Give a domain another name.")
@click.argument("domain")
@click.argument("name")
@click.pass_obj
def rename_command(verbose: bool, domain: str, name: str) -> None:
    """Call DOMAIN by another NAME, which its next save and its next reboot keep.

    Its monitor stays, and writes to the log of the new name from then on.

    \b
    Example:
        pyxl rename web1 web2
    """
    with wiring.on_host("rename", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        old = name_of(host.store, found.domid)
        log = host.log_to(old)
        outside.rename(host.xen, host.store, wiring.open_dm, found, name, partial(_say, host, old))
        log(f'domain {found.domid} is called "{name}" from now on, and so is its log')
        host.log_to(name)(f'domain {found.domid} was called "{old}" until now')


@click.command("trigger", short_help="Press a domain's power button, or send it another event.")
@click.argument("domain")
@click.argument("event", type=click.Choice([event.name.lower() for event in Trigger], case_sensitive=False))
@click.argument("vcpu", type=click.IntRange(min=0), default=0)
@click.pass_obj
def trigger_command(verbose: bool, domain: str, event: str, vcpu: int) -> None:
    """Press DOMAIN's power, sleep or reset button, wake it (s3resume), or send its VCPU an nmi or init.

    \b
    Example:
        pyxl trigger web1 power
    """
    with wiring.on_host("trigger", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        say = partial(_say, host, name_of(host.store, found.domid))
        outside.trigger(host.xen, host.store, wiring.open_dm, found, Trigger[event.upper()], vcpu, say)


@click.command("sysrq", short_help="Send a domain a SysRq.")
@click.argument("domain")
@click.argument("letter")
@click.pass_obj
def sysrq_command(verbose: bool, domain: str, letter: str) -> None:
    """Send DOMAIN a SysRq, whose LETTER says what its Linux is to do: s has it write all that it has to its disks.

    \b
    Example:
        pyxl sysrq web1 s
    """
    if len(letter) != 1 or not letter.isascii() or not letter.isprintable():
        raise UsageError(f'a SysRq is one letter, and not "{letter}"')
    with wiring.on_host("sysrq", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        say = partial(_say, host, name_of(host.store, found.domid))
        outside.sysrq(host.xen, host.store, wiring.open_dm, found, letter, say)
