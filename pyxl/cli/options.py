"""Options that several commands have, and what one of them does to a config."""

import click

from pyxl.formats.guest_config import GuestConfig
from pyxl.model.engine import ENGINES
from pyxl.model.live import DOWNTIME_MS, ROUNDS
from pyxl.ops import programs, pyxl_conf

dm_control = click.option(
    "--dm-control", type=click.Choice(["qmp", "xenstore"]),
    help="How the device model is driven; xenstore puts pyxl-qemu-dm in front of qemu.",
)  # fmt: skip

engine = click.option(
    "--engine", type=click.Choice(list(ENGINES)), default="direct", help="What moves the guest's memory.",
)  # fmt: skip

max_downtime = click.option(
    "--max-downtime", "downtime", type=click.IntRange(1, 60_000), metavar="MS",
    help=f"Of a live save: suspend the guest once what is left takes no longer; {DOWNTIME_MS}.",
)  # fmt: skip

max_rounds = click.option(
    "--max-rounds", "rounds", type=click.IntRange(1, 1000), metavar="N",
    help=f"Of a live save: suspend the guest after so many rounds at the latest; {ROUNDS}.",
)  # fmt: skip

threads = click.option(
    "--threads", type=click.IntRange(1, pyxl_conf.MOST_THREADS), help="To compress in; one a CPU, up to 4.",
)  # fmt: skip


def control_device_model(config: GuestConfig, how: str | None) -> None:
    """Set how the guest's device model is to be driven: "xenstore", "qmp", or as the config says (None)."""
    if how == "xenstore":
        config.use_device_model(programs.find(programs.QEMU_DM))
    elif how == "qmp":
        config.use_own_device_model(programs.QEMU_DM)
