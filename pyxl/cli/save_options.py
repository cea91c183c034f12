"""Options of the commands that save a guest."""

from collections.abc import Mapping
from typing import Any

import click

from pyxl.model.compression import AUTO
from pyxl.model.live import DOWNTIME_MS, ROUNDS
from pyxl.ops import pyxl_conf

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


disks = click.option(
    "--disks", metavar="[=WAY]",
    help="Copy its disks, too, before it runs again: auto, reflink, lvm, copy, hook:/PROGRAM.",
)  # fmt: skip


class Bare(click.Command):
    """A command with options that may stand without a value; click would take the next word, an argument, for one."""

    def __init__(self, *args: Any, bare: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._bare = bare

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"{arg}={self._bare[arg]}" if arg in self._bare else arg for arg in args])


#: What `--compress` and `--disks` mean without a value.
COMPRESS, DISKS = {"--compress": AUTO}, {"--disks": "auto"}
