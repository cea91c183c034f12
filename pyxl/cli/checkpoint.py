"""`pyxl checkpoint`."""

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from pyxl.cli import options, progress, save_options, wiring
from pyxl.cli.words import size, tell
from pyxl.model.compression import AUTO, OFF, Compression, compression
from pyxl.model.engine import ENGINES, proven
from pyxl.model.live import DOWNTIME_MS, ROUNDS, Live
from pyxl.model.phases import After
from pyxl.ops import pyxl_conf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxl.ops.save import Saved
    from pyxl.repository.manifest import Facts
    from pyxl.repository.new_checkpoint import Slot
    from pyxl.repository.repository import Repository

#: Seconds that the removal of old checkpoints waits for others in the repository; the next one does it then.
PRUNE_SECONDS = 10.0


@click.command(
    "checkpoint", cls=save_options.Bare, bare=save_options.DISKS,
    short_help="Add a checkpoint of a running domain to a repository.",
)  # fmt: skip
@click.option("--init", is_flag=True, help="Only make REPO a repository.")
@click.option("--all", "everybody", is_flag=True, help="Of each HVM and PVH guest of this host.")
@click.option("--every", metavar="TIME", help="Stay, and add one every 10m, 6h or 1d.")
@click.option("--keep", metavar="RULES", help="Then remove older ones of the guest: last=6,hourly=24,daily=7.")
@click.option("-p", "pause", is_flag=True, help="Leave the domain paused.")
@click.option("--full", is_flag=True, help="Write all pages, not only those that changed.")
@click.option("--force", is_flag=True, help="Go on even where a vNUMA topology is lost.")
@save_options.max_downtime
@save_options.max_rounds
@options.engine
@click.option("--compress", metavar="LEVEL", help=f"zstd's level, or {AUTO}, which keeps pace with the disk; {AUTO}.")
@save_options.threads
@save_options.disks
@click.option("--json", "as_json", is_flag=True, help="Print what was saved as JSON.")
@progress.option
@click.argument("words", nargs=-1, required=True, metavar="[DOMAIN] REPO")
@click.pass_obj
def checkpoint_command(
    verbose: bool, init: bool, everybody: bool, every: str | None, keep: str | None, pause: bool, full: bool,
    force: bool, downtime: int | None, rounds: int | None, engine: str, compress: str | None, threads: int | None,
    disks: str | None, as_json: bool, mode: str, words: tuple[str, ...],
) -> int:  # fmt: skip
    """Add a checkpoint of DOMAIN, which runs on, to REPO, a directory.

    Only pages that have changed since the newest checkpoint of the guest are written. REPO is made when it is missing.
    `pyxl checkpoints REPO` lists what is in it, `pyxl restore REPO@N` goes back.

    With --every it stays in the foreground; one that fails is told, and the next is made in its time.

    \b
    Example:
        pyxl checkpoint --keep last=6,hourly=24,daily=7 web1 /srv/checkpoints
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
    asked = _Asked(domains[0], Path(path), after, how, live, ENGINES[engine], full, force, disks or "")
    saved, facts = _checkpoint(verbose, asked, mode)
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


class _Asked(NamedTuple):
    domain: str
    path: Path
    after: After
    how: Compression
    live: Live
    engine: str
    is_full: bool
    force: bool
    disks: str


def _checkpoint(verbose: bool, asked: _Asked, mode: str) -> "tuple[Saved, Facts]":
    from pyxl.ops.lookup import find_guest, name_of
    from pyxl.ops.save import SaveOrder, save
    from pyxl.repository.repository import Repository

    with wiring.on_host("checkpoint", verbose) as host:
        found = find_guest(host.xen, host.store, asked.domain)
        name = name_of(host.store, found.domid)
        log = host.log_to(name)
        repository = Repository.made(asked.path.absolute())
        engine = proven(asked.engine, host.xen.release(), found.hvm)
        with progress.shown(mode, log) as report, _target(repository, engine, asked.is_full) as target:
            order = SaveOrder(
                found, target, asked.after, force=asked.force, engine=asked.engine, compression=asked.how,
                live=asked.live, disks=asked.disks,
            )  # fmt: skip
            watch = host.monitor_in_background(name)
            saved = save(host.xen, host.store, wiring.open_dm, order, report, watch)
            if isinstance(target, Path):
                from pyxl.files.importing import import_file

                done = import_file(target, repository.path, report, is_full=asked.is_full, with_disks=True)
                saved = saved._replace(stored=done.share.own, seconds=saved.seconds + done.seconds)
                facts = done.share.facts
            else:
                facts = repository.listed(target.number).facts
        log(_said(saved, facts, str(asked.path))[0])
    return saved, facts


@contextmanager
def _target(repository: "Repository", engine: str, is_full: bool) -> "Iterator[Slot | Path]":
    """Yield what is saved to: only pyxl's own engine writes packs, and what libxc makes is imported from a file.

    A prune removes that one, should this process die.
    """
    from pyxl.repository.new_checkpoint import Slot

    if engine:
        yield Slot(repository, repository.new_number(), is_full)
        return
    file = repository.path / f".libxc.{os.getpid()}.new"
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def _said(saved: "Saved", facts: "Facts", path: str) -> "tuple[str, dict[str, object]]":
    from pyxl.cli.saved import away, document
    from pyxl.formats.stream.libxc_records import PAGE_SIZE

    what = f"{size(facts.new * PAGE_SIZE)} of {size(facts.pages * PAGE_SIZE)} new, {size(saved.stored)} stored"
    said = f'checkpoint {facts.number} of "{facts.name}" in {path}: {what} in {saved.seconds:.1f} s{away(saved)}'
    told = {
        **document(saved), "repository": path, "number": facts.number, "uuid": facts.uuid, "saved": facts.saved,
        "pages": facts.pages, "zero_pages": facts.zero, "new_pages": facts.new,
    }  # fmt: skip
    return said, told


def _remove_old(repository: "Repository", keep: str, uuid: str) -> None:
    """Remove what the rules do not keep; that others are at work is no failure of the checkpoint."""
    from pyxl.repository.locks import Busy
    from pyxl.repository.prune import outdated, prune
    from pyxl.repository.retention import parse

    rules = parse(keep)
    with repository.locks.shared():
        if not outdated(repository, rules, uuid):
            return
    try:
        done = prune(repository, rules, uuid=uuid, seconds=PRUNE_SECONDS)
    except Busy as busy:
        tell(f"pyxl: no old checkpoint is removed now: {busy}")
        return
    if done.removed:  # else somebody else has done it meanwhile
        tell(f"removed old checkpoints ({', '.join(map(str, done.removed))}): {size(done.freed)} freed")
