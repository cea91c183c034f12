"""`pyxl create`."""

from pathlib import Path

import click

from pyxl.cli import options, progress, wiring
from pyxl.ops.create import create


@click.command("create", short_help="Build a domain from an xl.cfg file and start it.")
@click.option("-p", "paused", is_flag=True, help="Leave the domain paused.")
@click.option("-F", "foreground", is_flag=True, help="Be the monitor here, instead of leaving one behind.")
@click.option("-e", "no_monitor", is_flag=True, help="Leave no monitor behind: nobody acts on reboot or crash.")
@click.option("-n", "dry_run", is_flag=True, help="Build nothing; print the config as JSON.")
@click.option("--strict", is_flag=True, help="Refuse what is otherwise a warning: unknown options, ignored values.")
@click.option("-q", "quiet", is_flag=True, help="Say nothing when all goes well.")
@options.dm_control
@click.option("-f", "--defconfig", "file", type=click.Path(path_type=Path), help="The config file.")
@click.argument("words", nargs=-1, metavar="[FILE] [KEY=VALUE]…")
@click.pass_obj
def create_command(
    verbose: bool, paused: bool, foreground: bool, no_monitor: bool, dry_run: bool, strict: bool, quiet: bool,
    dm_control: str | None, file: Path | None, words: tuple[str, ...],
) -> None:  # fmt: skip
    """Build a domain from FILE, an xl.cfg file or libxl's JSON, and start it.

    KEY=VALUE words are added to the end of FILE, so that they win.

    \b
    Example:
        pyxl create /etc/xen/web1.cfg
    """
    settings = tuple(word for word in words if "=" in word)
    names = [word for word in words if "=" not in word]
    if len(names) > (0 if file else 1):
        raise click.UsageError(f'create takes one config file; what is "{names[-1]}"?')
    if names:
        file = Path(names[0])
    if file is None and not settings:
        raise click.UsageError("create needs a config file, or settings as KEY=VALUE")
    with wiring.on_host("create", verbose) as host:
        config = wiring.guest_config(file, settings, strict, host.xen.cpu_nodes())
        options.control_device_model(config, dm_control)
        if dry_run:
            click.echo(host.xen.normalise(config.to_json()), nl=False)
            return
        log = host.log_to(config.name)
        monitor = None if no_monitor or foreground else host.monitor_in_background(config.name)
        with progress.shown("none", log) as report:
            domid = create(host.xen, host.store, wiring.open_dm, config, report, paused=paused, start_monitor=monitor)
        said = f'created {domid} "{config.name}"'
        log(said)
        if not quiet:
            click.echo(said + ("; paused" if paused else ""))
        if no_monitor:
            host.leave_unwatched(domid)
        if foreground:
            host.monitor_here(domid, config.name)
