"""`pyxl clone` and `pyxl revert`."""

import json
from pathlib import Path

import click

from pyxl.cli import all_text, progress, wiring
from pyxl.cli.words import printable, tell
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.report import Report
from pyxl.ops import clone, clones, guest_clock
from pyxl.ops.checkpoint import open_checkpoint
from pyxl.ops.identity import Chooser
from pyxl.ops.lookup import find_guest
from pyxl.ops.save_all import at_once
from pyxl.ops.trust import admit

MOST = 1000


@click.command("clone", short_help="Start several guests from one checkpoint, each with its own disks.")
@click.option("--count", type=click.IntRange(1, MOST), help="So many, called NAME-1, NAME-2, …")
@click.option("--copy", "way", default="auto", metavar="WAY", help="How disks are copied: auto, reflink, qcow2, lvm, …")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As of `pyxl restore`, for all of them.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Start so many at once; one a CPU, up to 4.")
@click.option("-p", "paused", is_flag=True, help="Leave them paused.")
@click.option("--force", is_flag=True, help="Even where a disk was written to after the checkpoint.")
@click.option("--discard", is_flag=True, help="End clones, and remove what was made for them.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each as JSON.")
@click.argument("words", nargs=-1, required=True, metavar="SOURCE NAME")
@click.pass_obj
def clone_command(
    verbose: bool, count: int | None, way: str, settings: tuple[str, ...], jobs: int | None, paused: bool,
    force: bool, discard: bool, as_json: bool, words: tuple[str, ...],
) -> int:  # fmt: skip
    """Start NAME from SOURCE: a domain, which runs on, a checkpoint FILE, or REPO@N.

    Each clone has a uuid, MACs, ports and files of its own, and copies of the disks that it may write to, which share
    with the others what none has written.  WAY is reflink (XFS, Btrfs), qcow2 (an overlay, of a disk that nobody
    writes to any more), lvm, copy (all of it), or hook:/PROGRAM; auto takes the first that fits.  All that can be
    refused is refused before anything is made.

    `pyxl clone --discard NAME…` ends clones, and removes what was made for them and nothing else; `pyxl revert NAME`
    puts one back to where it started; `pyxl list --clones` shows them.

    \b
    Example:
        pyxl clone --count 3 /srv/web1.checkpoint lab
    """
    with wiring.on_host("clone", verbose) as host:
        if discard:
            return _discard(host, words, as_json)
        if len(words) != 2:
            raise click.UsageError("clone takes a SOURCE and a NAME")
        source, name = words
        names = tuple(f"{name}-{number}" for number in range(1, count + 1)) if count else (name,)
        order = clone.Order(names, way, jobs or at_once(), paused, force)
        with progress.shown("none", lambda _: None) as report:
            state = None if _is_file(source) else _state_of(host, source, name, order, report)
            try:
                planned = _planned(host, source, settings, order, state, report)
            except BaseException:
                if state is not None:
                    clone.discard(host.xen, host.store, wiring.open_dm, state.name, report)
                raise
            told = all_text.nothing if as_json else all_text.line
            tally = clone.make(host.xen, host.store, planned, order, told)
            if state is not None and not any(each.state == state.name for each in clones.clones()):
                clone.discard(host.xen, host.store, wiring.open_dm, state.name, report)
    return all_text.end(tally, as_json)


@click.command("revert", short_help="Put a clone back to where it started.")
@click.option("-p", "paused", is_flag=True, help="Leave it paused.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.argument("name")
@click.pass_obj
def revert_command(verbose: bool, paused: bool, as_json: bool, name: str) -> None:
    """Put the clone NAME back to its origin: its memory, and all that it has written to its disks.

    It is ended, gets new copies of its origin's disks, and is restored; it keeps its name, uuid and MACs, and gets a
    new generation id.

    \b
    Example:
        pyxl revert lab-1
    """
    with wiring.on_host("revert", verbose) as host, clones.held(name) as its:
        log = host.log_to(name)
        with progress.shown("none", log) as report:
            monitor = host.monitor_in_background(name)
            done = clone.revert(host.xen, host.store, wiring.open_dm, its, report, paused, monitor)
        said = f'reverted {done.domid} "{name}" to {its.source} in {done.seconds:.1f} s'
        said = "; ".join(filter(None, (said, guest_clock.words(done.away, done.clock))))
        log(said)
        document = {"domid": done.domid, "name": name, "source": its.source, "seconds": round(done.seconds, 3),
                    "away": done.away, "clock": done.clock}  # fmt: skip
        click.echo(json.dumps(document) if as_json else said)


def _is_file(source: str) -> bool:
    return Path(source).exists() or "@" in source


def _state_of(
    host: wiring.Host, source: str, name: str, order: clone.Order, report: Report
) -> clones.Clone:
    """Have a running domain's memory and disks kept."""
    domain = find_guest(host.xen, host.store, source)
    return clone.keep_state(host.xen, host.store, wiring.open_dm, domain, name, order, report)


def _planned(
    host: wiring.Host, source: str, settings: tuple[str, ...], order: clone.Order, state: clones.Clone | None,
    report: Report,
) -> list[clones.Clone]:  # fmt: skip
    path = Path(state.source if state else source)
    with open_checkpoint(path) as checkpoint:
        if not checkpoint.header.is_json:
            raise UsageError(f"{path} is a checkpoint without libxl's config: restore it, and clone the domain")
        config = GuestConfig(checkpoint.header.config.decode("utf-8", "replace"), str(path))
        if said := admit(config, checkpoint.is_own):
            tell(printable(f"pyxl: {said}"))
        where, called = str(checkpoint.path.absolute()), state.name if state else ""
        origin = clone.Origin(where, config, checkpoint.saved, checkpoint.disks, called)
    if settings:
        from pyxl.formats.xlcfg import settings as xlcfg_settings

        xlcfg_settings.put(config, settings, wiring.release())
    return clone.plan(host.xen, host.store, origin, order, Chooser(host.store), report)


def _discard(host: wiring.Host, names: tuple[str, ...], as_json: bool) -> int:
    failed = []
    with progress.shown("none", lambda _: None) as report:
        for name in names:
            try:
                clone.discard(host.xen, host.store, wiring.open_dm, name, report)
            except PyxlError as error:  # the others are discarded
                failed.append(name)
                tell(printable(f"pyxl: {error}"))
                continue
            if not as_json:
                click.echo(f"discarded {name}")
    if as_json:
        click.echo(json.dumps({"discarded": [name for name in names if name not in failed], "failed": failed}))
    return int(bool(failed))
