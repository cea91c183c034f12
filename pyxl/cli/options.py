"""Options that several commands have, and what one of them does to a config."""

import click

from pyxl.formats.guest_config import GuestConfig
from pyxl.model.engine import ENGINES
from pyxl.ops import programs

dm_control = click.option(
    "--dm-control", type=click.Choice(["qmp", "xenstore"]),
    help="How the device model is driven; xenstore puts pyxl-qemu-dm in front of qemu.",
)  # fmt: skip

engine = click.option(
    "--engine", type=click.Choice(list(ENGINES)), default="direct", help="What moves the guest's memory.",
)  # fmt: skip


def control_device_model(config: GuestConfig, how: str | None) -> None:
    """Set how the guest's device model is to be driven: "xenstore", "qmp", or as the config says (None)."""
    if how == "xenstore":
        config.use_device_model(programs.find(programs.QEMU_DM))
    elif how == "qmp":
        config.use_own_device_model(programs.QEMU_DM)
