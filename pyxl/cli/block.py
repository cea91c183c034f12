"""The disks of running guests: `block-list`, `block-attach`, `block-detach`, `cd-insert`, `cd-eject`."""

import json

import click

from pyxl.cli import progress, wiring
from pyxl.formats.xlcfg import disk as grammar
from pyxl.ops import block
from pyxl.ops.lookup import find, find_guest, name_of


@click.command("block-list", short_help="List the disks of domains.")
@click.option("--json", "as_json", is_flag=True, help="For programs; pyxl/cli/README.md has its members.")
@click.argument("domains", nargs=-1, required=True, metavar="DOMAIN…")
@click.pass_obj
def block_list_command(verbose: bool, as_json: bool, domains: tuple[str, ...]) -> None:
    """List the disks of each DOMAIN, with xl's columns; state 4 is connected, -1 is what the guest has not said.

    \b
    Example:
        pyxl block-list web1
    """
    with wiring.on_host("block-list", verbose) as host:
        found = [find(host.xen, host.store, name) for name in domains]
        disks = [disk for domain in found for disk in block.disks(host.store, domain.domid)]
    if as_json:
        click.echo(json.dumps([disk._asdict() for disk in disks], indent=2))
        return
    click.echo(f"{'Vdev':5} {'BE':3} {'handle':6} {'state':5} {'evt-ch':6} {'ring-ref':8} {'BE-path':30}")
    for disk in disks:
        click.echo(
            f"{disk.devid:<5d} {disk.backend_domid:<3d} {disk.domid:<6d} {disk.state:<5d} {disk.event_channel:<6d} "
            f"{disk.ring_ref:<8d} {disk.backend:30}"
        )


@click.command("block-attach", short_help="Give a running domain a disk.")
@click.argument("domain")
@click.argument("spec", nargs=-1, required=True, metavar="SPEC…")
@click.pass_obj
def block_attach_command(verbose: bool, domain: str, spec: tuple[str, ...]) -> None:
    """Give DOMAIN, which runs, a disk; SPEC is as in a config's disk = […], in one word or several.

    From then on it is in the guest's config: checkpoints and reboots keep it.

    \b
    Example:
        pyxl block-attach web1 format=raw,vdev=xvdf,access=rw,target=/srv/data.raw
    """
    disk = grammar.parse(spec[0], "command line", spec[1:])
    with wiring.on_host("block-attach", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            block.attach(host.xen, host.store, wiring.open_dm, found, disk, report.remark)


@click.command("block-detach", short_help="Take a disk away from a running domain.")
@click.option("-f", "--force", is_flag=True, help="Do not wait for the guest; what it has not written is lost.")
@click.argument("domain")
@click.argument("vdev")
@click.pass_obj
def block_detach_command(verbose: bool, force: bool, domain: str, vdev: str) -> None:
    """Take the disk VDEV (a name such as xvdf, or block-list's number) away from DOMAIN, once the guest releases it.

    Unmount it in the guest first: Linux from 5.14 on releases it at once, mounted or not, and what it has not written
    is lost; an older one does not release what is mounted, and the guest keeps the disk.

    \b
    Example:
        pyxl block-detach web1 xvdf
    """
    with wiring.on_host("block-detach", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            block.detach(host.xen, host.store, wiring.open_dm, found, vdev, report.remark, force=force)


@click.command("cd-insert", short_help="Put a disc into a domain's CD-ROM drive.")
@click.argument("domain")
@click.argument("vdev")
@click.argument("target")
@click.pass_obj
def cd_insert_command(verbose: bool, domain: str, vdev: str, target: str) -> None:
    """Put the image TARGET into the CD-ROM drive VDEV of DOMAIN; a disc that is in it is taken out first.

    \b
    Example:
        pyxl cd-insert web1 hdc /srv/install.iso
    """
    _change_disc("cd-insert", verbose, domain, vdev, target)


@click.command("cd-eject", short_help="Take the disc out of a domain's CD-ROM drive.")
@click.argument("domain")
@click.argument("vdev")
@click.pass_obj
def cd_eject_command(verbose: bool, domain: str, vdev: str) -> None:
    """Take the disc out of the CD-ROM drive VDEV of DOMAIN.

    \b
    Example:
        pyxl cd-eject web1 hdc
    """
    _change_disc("cd-eject", verbose, domain, vdev, "")


def _change_disc(command: str, verbose: bool, domain: str, vdev: str, target: str) -> None:
    disc = grammar.parse(f"vdev={vdev},access=r,devtype=cdrom,target={target}", "command line")
    with wiring.on_host(command, verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        with progress.shown("none", host.log_to(name_of(host.store, found.domid))) as report:
            block.change_disc(host.xen, host.store, wiring.open_dm, found, disc, report.remark)
