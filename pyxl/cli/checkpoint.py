"""`pyxl checkpoint`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from pyxl.cli import options, progress, wiring
from pyxl.cli.words import size, tell
from pyxl.model.compression import AUTO, OFF, Compression, compression
from pyxl.model.engine import ENGINES, proven
from pyxl.model.live import DOWNTIME_MS, ROUNDS, Live
from pyxl.model.phases import After
from pyxl.model.report import Report
from pyxl.ops import pyxl_conf

if TYPE_CHECKING:
    from collections.abc import Callable

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
@options.engine
@click.option("--compress", metavar="LEVEL", help=f"zstd's level, or {AUTO}, which keeps pace with the disk; {AUTO}.")
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print what was saved as JSON.")
@progress.option
@click.argument("words", nargs=-1, required=True, metavar="[DOMAIN] REPO")
@click.pass_obj
def checkpoint_command(
    verbose: bool, init: bool, everybody: bool, every: str | None, keep: str | None, pause: bool, full: bool,
    force: bool, downtime: int | None, rounds: int | None, engine: str, compress: str | None, threads: int | None,
    as_json: bool, mode: str, words: tuple[str, ...],
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
    asked = _Asked(domains[0], Path(path), after, how, live, ENGINES[engine], full, force)
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


def _checkpoint(verbose: bool, asked: _Asked, mode: str) -> "tuple[Saved, Facts]":
    from pyxl.ops.lookup import find_guest, name_of
    from pyxl.ops.save import SaveOrder, save
    from pyxl.repository.new_checkpoint import Slot
    from pyxl.repository.repository import Repository

    with wiring.on_host("checkpoint", verbose) as host:
        found = find_guest(host.xen, host.store, asked.domain)
        name = name_of(host.store, found.domid)
        log = host.log_to(name)
        repository = Repository.made(asked.path.absolute())
        order = SaveOrder(
            found, _file_in(repository), asked.after, force=asked.force, engine=asked.engine, compression=asked.how,
            live=asked.live,
        )  # fmt: skip
        watch = host.monitor_in_background(name)
        with progress.shown(mode, log) as report:
            if proven(asked.engine, host.xen.release(), found.hvm):
                slot = Slot(repository, repository.new_number(), asked.is_full)
                saved = save(host.xen, host.store, wiring.open_dm, order._replace(target=slot), report, watch)
                facts = repository.listed(slot.number).facts
            else:
                saved, facts = _through_file(
                    repository, lambda: save(host.xen, host.store, wiring.open_dm, order, report, watch), report
                )
        log(_said(saved, facts, str(asked.path))[0])
    return saved, facts


def _file_in(repository: "Repository") -> Path:
    """Return a file for a checkpoint that libxc makes: only pyxl's own engine writes packs.

    A prune removes it, should this process die.
    """
    return repository.path / f".libxc.{os.getpid()}.new"


def _through_file(
    repository: "Repository", save: "Callable[[], Saved]", report: Report
) -> "tuple[Saved, Facts]":
    from pyxl.files.importing import import_file

    file = _file_in(repository)
    try:
        saved = save()
        share = import_file(file, repository.path, report).share
    finally:
        file.unlink(missing_ok=True)
    return saved._replace(stored=share.own), share.facts


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
