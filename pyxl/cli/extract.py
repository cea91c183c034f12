"""`pyxl extract`."""

from pathlib import Path

import click

from pyxl.errors import UsageError


@click.command("extract", short_help="Take memory, a page or device state out of a checkpoint.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--memory", "form", type=click.Choice(["raw", "elf"]), help="All memory; elf is a core as gdb reads it.")
@click.option("--page", "gfn", metavar="GFN", help="The 4096 bytes of one guest frame, such as 4096 or 0x1000.")
@click.option("--device-state", is_flag=True, help="What the device model saved.")
@click.option("--hvm-context", is_flag=True, help="What Xen itself saved of an HVM guest.")
@click.option("-o", "out", default="-", type=click.Path(path_type=Path, allow_dash=True), help="Where to; - is stdout.")
def extract_command(
    file: Path, form: str | None, gfn: str | None, device_state: bool, hvm_context: bool, out: Path
) -> None:
    """Take one part out of FILE, which may be one of a repository, REPO@N; needs neither root nor Xen.

    Memory is what a restore would give the guest: of pages that a live stream has more than once, the last. raw is the
    guest's physical memory from address 0 on, with holes where there is nothing or zero; elf has a segment for each
    range of pages, at its physical address, and a thread for each vcpu of an HVM guest.

    \b
    Example:
        pyxl extract --memory elf -o /srv/web1.core /srv/web1.checkpoint
    """
    if [form is not None, gfn is not None, device_state, hvm_context].count(True) != 1:
        raise UsageError("extract takes one of --memory, --page, --device-state and --hvm-context")
    from pyxl import interrupt
    from pyxl.files import extract

    interrupt.install()
    target = None if str(out) == "-" else out
    if form:
        extract.memory(file, target, elf=form == "elf")
    elif gfn is not None:
        extract.page(file, target, _number(gfn))
    elif device_state:
        extract.device_state(file, target)
    else:
        extract.context(file, target)


def _number(gfn: str) -> int:
    try:
        return int(gfn, 0)
    except ValueError as error:
        raise UsageError(f"--page {gfn}: no number, such as 4096 or 0x1000") from error
