"""`pyxl recover`."""

import click

from pyxl.cli import wiring


@click.command("recover", short_help="Put right what a toolstack that died has left.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.argument("domains", nargs=-1, metavar="[DOMAIN]…")
@click.pass_obj
def recover_command(verbose: bool, dry_run: bool, domains: tuple[str, ...]) -> int:
    """Find what a pyxl or xl that died has left, and put it right: guests suspended, domains half built, files.

    With DOMAIN (a domid or a name) only what concerns it, and also where another toolstack may still hold it.

    Exit status: 0 nothing is left to do, 1 something is.

    \b
    Example:
        pyxl recover --dry-run
    """
    from pyxl.ops.recover import Recovery, put_right

    with wiring.on_host("recover", verbose) as host:
        findings = Recovery(host.xen, host.store, wiring.open_dm).find()
        if domains:
            findings = [found for found in findings if {str(found.domid), found.name} & set(domains)]
        if not findings:
            click.echo("nothing to recover")
        status = 0
        for found in findings:
            click.echo(f"{found.what}: {found.remedy}" + (f" (only by its name: {found.but})" if found.but else ""))
            if not dry_run:
                done, said = put_right(found, named=bool(domains))
                status = status if done else 1
                click.echo(f"  {said}")
        return 1 if dry_run and findings else status
