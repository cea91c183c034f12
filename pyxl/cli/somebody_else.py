"""The options that have a restored guest be another one than was saved, and what they do to its config."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from pyxl.cli import wiring
from pyxl.cli.words import printable
from pyxl.errors import UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.members import Member, members

Command = TypeVar("Command", bound=Callable[..., Any])
_MAC = re.compile(r"(?:([0-9]{1,3})=)?([0-9a-f]{2}(?::[0-9a-f]{2}){5})", re.ASCII)
#: Of a MAC's first octet.
_MULTICAST = 1


class Changes(NamedTuple):
    """What was asked for on the command line; ``disks`` are (vdev, path), ``macs`` are (devid, MAC)."""

    name: str | None
    new_identity: bool
    disks: tuple[tuple[str, Path], ...]
    macs: tuple[tuple[int, str], ...]
    settings: tuple[str, ...]


def _disks(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    found = []
    for value in values:
        vdev, _, path = value.partition("=")
        if not vdev or not path:
            raise click.BadParameter(f"{value} is not VDEV=PATH, such as xvda=/srv/disk.qcow2")
        found.append((vdev, Path(path)))
    return tuple(found)


def _macs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    found = []
    for value in values:
        match = _MAC.fullmatch(value.lower())
        if not match or int(match[2][:2], 16) & _MULTICAST:
            raise click.BadParameter(f"{value} is not a MAC of a NIC, such as 00:16:3e:01:02:03 or 1=00:16:3e:01:02:03")
        found.append((int(match[1] or "0"), match[2]))
    return tuple(found)


def options(command: Command) -> Command:
    """Add the options to a command, which takes them as ``changes``."""
    for option in reversed((
        click.option("--name", help="Call the domain so."),
        click.option("--new-identity", is_flag=True, help="Be another guest: uuid, MACs, ports, files; needs --name."),
        click.option("--disk", "disks", multiple=True, callback=_disks, metavar="VDEV=PATH", help="Another disk."),
        click.option("--mac", "macs", multiple=True, callback=_macs, metavar="[DEVID=]MAC", help="Another MAC."),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE",
            help="Another value for a key of xl.cfg that the guest does not see.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def change(config: GuestConfig, changes: Changes, host: wiring.Host) -> list[Member]:
    """Change ``config`` as was asked for, and return what is another now.

    :raise UsageError: it cannot be changed so.
    """
    if not any(changes):
        return []
    from pyxl.formats.identity import take_new_identity
    from pyxl.ops.identity import Chooser, give_disk

    before = copy.deepcopy(config.document)
    if changes.settings:
        from pyxl.formats.xlcfg import settings

        settings.put(config, changes.settings, wiring.release())
    for vdev, path in changes.disks:
        give_disk(config, vdev, path)
    if changes.new_identity:
        if not changes.name:
            raise UsageError("--new-identity needs --name: two guests cannot have one name")
        take_new_identity(config, changes.name, Chooser(host.store))
    elif changes.name:
        config.rename(changes.name)
    for devid, mac in changes.macs:
        config.use_mac(devid, mac)
    return list(members(before, config.document))


def show(found: list[Member], as_json: bool) -> None:
    """Print what would be changed."""
    from pyxl.cli.diff_text import short  # a restore does without

    if as_json:
        click.echo(json.dumps({"changes": [{"key": each.name, "from": each.a, "to": each.b} for each in found]}))
        return
    for each in found:
        click.echo(printable(f"{each.name}: {short(each.a)} -> {short(each.b)}"))
    if not found:
        click.echo("nothing would be changed")
