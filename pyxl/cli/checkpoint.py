"""`pyxl checkpoint`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pyxl.cli import options, progress, wiring
from pyxl.cli.words import size, tell
from pyxl.model.compression import AUTO, OFF, Compression, compression
from pyxl.model.live import DOWNTIME_MS, ROUNDS, Live
from pyxl.model.phases import After
from pyxl.ops import pyxl_conf

if TYPE_CHECKING:
    from pyxl.ops.save import Saved
    from pyxl.repository.manifest import Facts
    from pyxl.repository.repository import Repository

#: Seconds that the removal of old checkpoints waits for others in the repository; the next one does it then.
PRUNE_SECONDS = 10.0


@click.command("checkpoint", short_help="Add a checkpoint of a running domain to a repository.")
@click.option("--init", is_flag=True, help="Only make REPO a repository.")
@click.option("--all", "everybody", is_flag=True, help="Of each HVM and PVH guest of this host.")
@click.option("--every", metavar="TIME", help="Stay, and add one every 10m, 6h or 1d.")
@click.option("--keep", metavar="RULES", help="Then remove older ones of the guest: last=6,hourly=24,daily=7.")
@click.option("-p", "pause", is_flag=True, help="Leave the domain paused.")
@click.option("--full", is_flag=True, help="Write all pages, not only those that changed.")
@click.option("--force", is_flag=True, help="Go on even where a vNUMA topology is lost.")
@options.max_downtime
@options.max_rounds
@click.option("--compress", metavar="LEVEL", help=f"zstd's level, or {AUTO}, which keeps pace with the disk; {AUTO}.")
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print what was saved as JSON.")
@progress.option
@click.argument("words", nargs=-1, required=True, metavar="[DOMAIN] REPO")
@click.pass_obj
def checkpoint_command(
    verbose: bool, init: bool, everybody: bool, every: str | None, keep: str | None, pause: bool, full: bool,
    force: bool, downtime: int | None, rounds: int | None, compress: str | None, threads: int | None, as_json: bool,
    mode: str, words: tuple[str, ...],
) -> int:  # fmt: skip
    """Add a checkpoint of DOMAIN, which runs on, to REPO, a directory.

    Only pages that have changed since the newest checkpoint of the guest are written. REPO is made when it is missing.
    `pyxl checkpoints REPO` lists what is in it, `pyxl restore REPO@N` goes back.

    With --every it stays in the foreground; one that fails is told, and the next is made in its time.

    Example: pyxl checkpoint --every 10m --keep last=6,hourly=24,daily=7 web1 /srv/checkpoints
    """
    if len(words) != 1 + (not init and not everybody):
        takes = "a REPO" if init or everybody else "a DOMAIN and a REPO"
        raise click.UsageError(f"checkpoint takes {takes}{' with --init or --all' if init or everybody else ''}")
    *domains, path = words
    how = _compression(compress, threads)
    if keep is not None:
        from pyxl.repository.retention import parse

        parse(keep)
    if every or everybody:
        from pyxl.cli.series import series

        return series(verbose, _options_of_one(), domains[0] if domains else None, path, every)
    from pyxl.repository.repository import Repository

    if init:
        click.echo(f"{Repository.made(Path(path)).path} is a repository")
        return 0
    live = Live(downtime or DOWNTIME_MS, rounds or ROUNDS)
    after = After.PAUSE if pause else After.RESUME
    saved, facts = _checkpoint(verbose, domains[0], Path(path), how, live, after, mode, full=full, force=force)
    said, document = _said(saved, facts, path)
    click.echo(json.dumps(document) if as_json else said)
    if keep is not None:
        _remove_old(Repository(Path(path)), keep, facts.uuid)
    return 0


def _options_of_one() -> list[str]:
    """Return this command's options, but those that ask for more than one checkpoint."""
    context = click.get_current_context()
    words = []
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and isinstance(option, click.Option) and option.name not in ("every", "everybody"):
            words += [option.opts[0]] if option.is_flag else [option.opts[0], str(context.params[str(option.name)])]
    return words


def _compression(compress: str | None, threads: int | None) -> Compression:
    site = pyxl_conf.read()
    how = compression(compress or site.compress, threads or site.threads)
    if how is None and compress == OFF:
        raise click.UsageError("what a repository holds is always compressed")
    return how or Compression(None, threads or site.threads)


def _checkpoint(
    verbose: bool, domain: str, path: Path, how: Compression, live: Live, after: After, mode: str,
    *, full: bool, force: bool,
) -> "tuple[Saved, Facts]":  # fmt: skip
    from pyxl.ops.lookup import find_guest, name_of
    from pyxl.ops.save import SaveOrder, save
    from pyxl.repository.new_checkpoint import Slot
    from pyxl.repository.repository import Repository

    with wiring.on_host("checkpoint", verbose) as host:
        found = find_guest(host.xen, host.store, domain)
        name = name_of(host.store, found.domid)
        log = host.log_to(name)
        repository = Repository.made(path.absolute())
        slot = Slot(repository, repository.new_number(), full)
        order = SaveOrder(found, slot, after, force=force, compression=how, live=live)
        with progress.shown(mode, log) as report:
            watch = host.monitor_in_background(name)
            saved = save(host.xen, host.store, wiring.open_dm, order, report, watch)
        facts = repository.listed(slot.number).facts
        log(_said(saved, facts, str(path))[0])
    return saved, facts


def _said(saved: "Saved", facts: "Facts", path: str) -> "tuple[str, dict[str, object]]":
    from pyxl.cli.saved import away, document
    from pyxl.formats.stream.libxc_records import PAGE_SIZE

    what = f"{size(facts.new * PAGE_SIZE)} of {size(facts.pages * PAGE_SIZE)} new, {size(saved.stored)} stored"
    said = f'checkpoint {facts.number} of "{facts.name}" in {path}: {what} in {saved.seconds:.1f} s{away(saved)}'
    told = {
        **document(0, saved), "repository": path, "number": facts.number, "uuid": facts.uuid, "saved": facts.saved,
        "pages": facts.pages, "zero_pages": facts.zero, "new_pages": facts.new,
    }  # fmt: skip
    del told["domid"]
    return said, told


def _remove_old(repository: "Repository", keep: str, uuid: str) -> None:
    """Remove what the rules do not keep; that others are at work is no failure of the checkpoint."""
    from pyxl.repository.locks import Busy
    from pyxl.repository.prune import prune
    from pyxl.repository.retention import kept, parse

    of_guest = [each.facts for each in repository.all() if each.facts.uuid == uuid]
    old = {facts.number for facts in of_guest} - kept(parse(keep), of_guest)
    if not old:
        return
    try:
        done = prune(repository, remove=old, seconds=PRUNE_SECONDS)
    except Busy as busy:
        tell(f"pyxl: no old checkpoint is removed now: {busy}")
        return
    if done.removed:
        tell(f"removed old checkpoints ({', '.join(map(str, done.removed))}): {size(done.freed)} freed")
