"""`pyxl restore`."""

import json
from contextlib import suppress
from pathlib import Path

import click

from pyxl.cli import options, progress, somebody_else, wiring
from pyxl.cli.words import size
from pyxl.errors import UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.engine import ENGINES
from pyxl.ops import guest_clock
from pyxl.ops.checkpoint import Checkpoint, open_checkpoint
from pyxl.ops.restore import restore
from pyxl.ops.trust import admit


@click.command("restore", short_help="Restore a domain from a checkpoint file.")
@click.option("-p", "paused", is_flag=True, help="Leave the domain paused.")
@click.option("-e", "no_monitor", is_flag=True, help="Leave no monitor behind: nobody acts on reboot or crash.")
@click.option("-F", "foreground", is_flag=True, help="Be the monitor here, instead of leaving one behind.")
@click.option("--skip-device-state", is_flag=True, help="Of a legacy checkpoint: let the devices boot afresh.")
@click.option("-d", "dump", is_flag=True, help="Print the guest's config as JSON on stderr.")
@click.option("--force", is_flag=True, help="Restore even where processor, Xen or CONFIG do not fit the guest.")
@click.option("--disks", "in_step", is_flag=True, help="Put its disks back, too, as `pyxl save --disks` copied them.")
@somebody_else.options
@click.option("-n", "--dry-run", is_flag=True, help="Print what the options would change in the config, and end.")
@options.dm_control
@options.engine
@click.option("--json", "as_json", is_flag=True, help="Print what was restored as JSON.")
@progress.option
@click.argument("files", nargs=-1, required=True, metavar="[CONFIG] FILE", type=click.Path(path_type=Path))
@click.pass_obj
def restore_command(
    verbose: bool, paused: bool, no_monitor: bool, foreground: bool, skip_device_state: bool, dump: bool,
    force: bool, in_step: bool, name: str | None, new_identity: bool, disks: tuple[tuple[str, Path], ...],
    macs: tuple[tuple[int, str], ...], settings: tuple[str, ...], dry_run: bool, dm_control: str | None, engine: str,
    as_json: bool, mode: str, files: tuple[Path, ...],
) -> None:  # fmt: skip
    """Restore a domain from FILE, written by pyxl save or xl save.

    `-` is standard input.  FILE is checked before the guest runs: its framing and config before anything is built, the
    sums of its memory meanwhile.  The config in it may not run programs that are not root's own; files of this host
    that it names are said in one line.  CONFIG, an xl.cfg file, replaces it.  A legacy FILE, of Xen 4.2 to 4.5, is
    converted on its way.

    A disk that was written to since FILE was saved is refused, as the guest would destroy its file system; with --disks
    the copies that `pyxl save --disks` made take its place, and what was there is removed once the guest runs.

    \b
    Example:
        pyxl restore /srv/web1.checkpoint
    """
    if len(files) > 2:
        raise click.UsageError("restore takes a FILE, or a CONFIG and a FILE")
    opened = open_checkpoint(files[-1], skip_device_state=skip_device_state)
    with wiring.on_host("restore", verbose) as host, opened as checkpoint:
        replaced = None
        if len(files) == 2:
            config = wiring.guest_config(files[0], nodes=host.xen.cpu_nodes())
            with suppress(UsageError):  # one that pyxl cannot read is what CONFIG may be for
                replaced = _config_of(checkpoint, host)
        else:
            config = _config_of(checkpoint, host)
            if said := admit(config, checkpoint.is_own):
                click.echo(f"pyxl: {said}", err=True)
        changes = somebody_else.Changes(name, new_identity, disks, macs, settings)
        changed = somebody_else.change(config, changes, host)
        if dry_run:
            somebody_else.show(changed, as_json)
            return
        options.control_device_model(config, dm_control)
        log = host.log_to(config.name)
        if dump:
            click.echo(config.to_json(), err=True, nl=False)
        monitor = None if no_monitor or foreground else host.monitor_in_background(config.name)
        with progress.shown(mode, log) as report:
            done = restore(
                host.xen, host.store, wiring.open_dm, checkpoint, config, report,
                replaced=replaced, paused=paused, force=force, engine=ENGINES[engine], disks=in_step,
                start_monitor=monitor,
            )  # fmt: skip
        how = f"{size(done.size)} in {done.seconds:.1f} s" if done.size else f"{done.seconds:.1f} s"
        said = f'restored {done.domid} "{done.name}" from {files[-1]}: {how}'
        said = "; ".join(filter(None, (said, guest_clock.words(done.away, done.clock))))
        log(said)
        document = {"domid": done.domid, "name": done.name, "file": str(files[-1]), "size": done.size,
                    "seconds": round(done.seconds, 3), "paused": paused,
                    "away": done.away, "clock": done.clock}  # fmt: skip
        click.echo(json.dumps(document) if as_json else said + ("; paused" if paused else ""))
        if no_monitor:
            host.leave_unwatched(done.domid)
        if foreground:
            host.monitor_here(done.domid, done.name)


def _config_of(checkpoint: Checkpoint, host: wiring.Host) -> GuestConfig:
    """Return the config that the checkpoint carries."""
    text = checkpoint.header.config.decode("utf-8", "replace")
    if checkpoint.header.is_json:
        return GuestConfig(text, str(checkpoint.path))
    return wiring.parse_config([(str(checkpoint.path), text)], nodes=host.xen.cpu_nodes())
