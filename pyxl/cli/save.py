"""`pyxl save`."""

import json
from pathlib import Path

import click

from pyxl.cli import options, progress, save_options, wiring
from pyxl.cli.saved import away, document
from pyxl.cli.target import STDOUT, target_of
from pyxl.cli.words import compressed, size
from pyxl.model.compression import compression
from pyxl.model.engine import ENGINES
from pyxl.model.live import DOWNTIME_MS, ROUNDS, Live
from pyxl.model.phases import After
from pyxl.ops import pyxl_conf
from pyxl.ops.lookup import find_guest, name_of
from pyxl.ops.save import SaveOrder, save


@click.command(
    "save", cls=save_options.Bare, bare=save_options.COMPRESS | save_options.DISKS,
    short_help="Save a domain's state to a checkpoint file.",
)  # fmt: skip
@click.option("-c", "keep", is_flag=True, help="Leave the domain running after the save.")
@click.option("-p", "pause", is_flag=True, help="Leave the domain paused after the save.")
@click.option("-D", "keep_domid", is_flag=True, help="Store the domid, to be asked for again by a restore.")
@click.option("--force", is_flag=True, help="Save even where room seems short, or a vNUMA topology is lost.")
@click.option("--live", is_flag=True, help="Copy most of the memory while the domain runs.")
@save_options.max_downtime
@save_options.max_rounds
@options.engine
@click.option("--compress", metavar="[=LEVEL|auto|off]", help="Write zstd frames; auto keeps pace with the disk.")
@save_options.threads
@save_options.disks
@click.option("--json", "as_json", is_flag=True, help="Print what was saved as JSON.")
@progress.option
@click.argument("domain")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def save_command(
    verbose: bool, keep: bool, pause: bool, keep_domid: bool, force: bool, live: bool, downtime: int | None,
    rounds: int | None, engine: str, compress: str | None, threads: int | None, disks: str | None, as_json: bool,
    mode: str, domain: str, file: Path, config: Path | None,
) -> None:  # fmt: skip
    """Save DOMAIN (a domid or a name) to FILE, then destroy it.

    FILE takes its name only when it is whole and on the disk; until then an old FILE stays as it was, and when
    anything fails the domain runs on.  `-` is standard output.  CONFIG replaces the domain's own config in the file.

    With --live the domain runs while most of its memory is copied, in rounds: each has what was written to during the
    one before.  With -c it runs again as soon as the rest was copied.

    With --disks each disk that the domain may write to is copied before it runs again, in a way that shares what
    neither has written since; `pyxl restore --disks` puts it back with the memory.

    `zstd -dc` makes xl's file of a compressed one.  /etc/xen/pyxl.conf may have defaults: `compress = auto`.

    \b
    Example:
        pyxl save -c web1 /srv/web1.checkpoint
    """
    if not live and (downtime or rounds):
        raise click.UsageError("--max-downtime and --max-rounds are of --live")
    site = pyxl_conf.read()
    how = compression(compress or site.compress, threads or site.threads)
    after = After.PAUSE if pause else After.RESUME if keep else After.DESTROY
    with wiring.on_host("save", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        log = host.log_to(name_of(host.store, found.domid))
        override = wiring.guest_config(config, nodes=host.xen.cpu_nodes()) if config else None
        wanted = Live(downtime or DOWNTIME_MS, rounds or ROUNDS) if live else None
        order = SaveOrder(
            found, target_of(file), after, override, keep_domid, force, ENGINES[engine], how, wanted, disks or ""
        )
        with progress.shown(mode, log) as report:
            watch = host.monitor_in_background(name_of(host.store, found.domid))
            saved = save(host.xen, host.store, wiring.open_dm, order, report, watch)
    what = size(saved.size) + compressed(saved.size, saved.stored)
    said = f'saved {found.domid} "{saved.name}" to {order}: {what} in {saved.seconds:.1f} s'
    said += away(saved)
    log(said)
    told = {"domid": found.domid, **document(saved), "file": str(order), "after": after.value}
    said = json.dumps(told) if as_json else f"{said}; {after.value}"
    click.echo(said, err=order.target == STDOUT)
