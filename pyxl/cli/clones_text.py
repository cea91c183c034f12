"""What `pyxl list --clones` says."""

import json

import click

from pyxl.cli.words import printable
from pyxl.errors import PyxlError
from pyxl.model.ports import Hypervisor
from pyxl.ops.clone import domain_of
from pyxl.ops.clones import Clone, clones


def show(xen: Hypervisor, names: tuple[str, ...], as_json: bool) -> None:
    """Print all clones, or those of these names.

    :raise PyxlError: there is none of a name.
    """
    found = [clone for clone in clones() if not names or clone.name in names]
    if missing := [name for name in names if name not in {clone.name for clone in found}]:
        raise PyxlError(f'there is no clone "{missing[0]}"')
    if as_json:
        click.echo(json.dumps([_members(xen, clone) for clone in found], indent=4))
        return
    click.echo(f"{'Name':24} {'ID':>5} {'Made':20} {'Of':16} Checkpoint, disks")
    for clone in found:
        domain = domain_of(xen, clone)
        where = ", ".join([clone.source, *(f"{each.vdev}={each.path}" for each in clone.disks)])
        domid = "-" if domain is None else str(domain.domid)
        click.echo(printable(f"{clone.name:24} {domid:>5} {clone.made:20} {clone.origin:16} {where}"))


def _members(xen: Hypervisor, clone: Clone) -> dict[str, object]:
    domain = domain_of(xen, clone)
    return {
        "name": clone.name, "uuid": clone.uuid, "domid": None if domain is None else domain.domid, "of": clone.origin,
        "made": clone.made, "source": clone.source, "state": clone.state,
        "disks": [{"vdev": each.vdev, "path": each.path, "format": each.format, "base": each.base, "way": each.way}
                  for each in clone.disks],
    }  # fmt: skip
