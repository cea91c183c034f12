"""`pyxl checkpoints`."""

import json
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyxl.cli.checkpoints_text import document, lines
from pyxl.cli.words import printable, size, tell
from pyxl.errors import PyxlError, UsageError
from pyxl.repository.reference import reference
from pyxl.repository.repository import Repository
from pyxl.repository.shares import shares, stored

if TYPE_CHECKING:
    from pyxl.repository.retention import Keep

_DEFAULT = "list"


class _Listing(click.Group):
    """A group whose `list` need not be said; a repository in a directory that is called as a command is `./list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_said = not args or args[0] in (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if is_said else [_DEFAULT, *args])


@click.group("checkpoints", cls=_Listing, short_help="List, thin out and remove checkpoints of a repository.",
             context_settings={"help_option_names": ["-h", "--help"]})  # fmt: skip
def checkpoints_command() -> None:
    """List the checkpoints of a repository, keep some of them, or remove some.

    \b
    Example:
        pyxl checkpoints /srv/checkpoints web1
    """


@checkpoints_command.command(_DEFAULT)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects; pyxl/cli/README.md has their members.")
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path))
@click.argument("domain", metavar="[DOM]", required=False)
def list_command(as_json: bool, repository: Path, domain: str | None) -> None:
    """List the checkpoints in REPO, or those of DOM, a name or a uuid; `list` need not be said.

    Own is what would be free without this checkpoint, Shared what others need, too.  Away is for how long the guest
    stood still.  Whether a checkpoint is whole is told by its manifest and the sizes of its packs; `pyxl verify` reads
    all of them.

    \b
    Example:
        pyxl checkpoints list /srv/checkpoints
    """
    opened = Repository(repository)
    with opened.locks.shared():
        everything = opened.all()
    chosen = {each.facts.number for each in everything if domain in (None, each.facts.name, each.facts.uuid)}
    if domain and not chosen:
        raise PyxlError(f"{repository} has no checkpoint of {domain}", f"`pyxl checkpoints {repository}` lists all.")
    found = [each for each in shares(everything) if each.facts.number in chosen]
    if as_json:
        click.echo(json.dumps([document(repository, each) for each in found], indent=2))
        return
    for line in lines(found, stored(each for each in everything if each.facts.number in chosen)):
        click.echo(line)


@checkpoints_command.command("prune")
@click.option("--keep", metavar="RULES", help="What to keep of each guest, as last=6,hourly=24,daily=7; else all.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path))
def prune_command(keep: str | None, as_json: bool, repository: Path) -> None:
    """Remove checkpoints from REPO that no rule keeps, and everything that none needs any more.

    A rule keeps the newest checkpoint of each of so many hours, days, weeks, months or years. Each guest's newest is
    always kept. Waits until nobody else is at work in REPO.

    \b
    Example:
        pyxl checkpoints prune --keep last=6,hourly=24,daily=7 /srv/checkpoints
    """
    from pyxl.repository import retention

    _prune(Repository(repository), retention.parse(keep) if keep is not None else None, (), as_json)


@checkpoints_command.command("remove")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON, an object for each repository.")
@click.argument("checkpoints", metavar="REPO@N…", nargs=-1, required=True, type=click.Path(path_type=Path))
def remove_command(as_json: bool, checkpoints: tuple[Path, ...]) -> None:
    """Remove checkpoints, and the copies of disks that belong to them; all others stay as they are.

    Each is one of a repository, REPO@N, or a file to which copies of disks belong.

    \b
    Example:
        pyxl checkpoints remove /srv/checkpoints@1 /srv/checkpoints@2
    """
    numbers: defaultdict[Path, set[int]] = defaultdict(set)
    files: list[Path] = []
    for each in checkpoints:
        named = reference(each)
        if named is None and _has_copies(each):
            files.append(each)
            continue
        if named is None:
            said = f"{each} is no checkpoint of a repository, and no copies of disks belong to it"
            raise UsageError(said, "Name each one, as REPO@7; `rm` removes a file.")
        if not named.which:
            raise UsageError(f"{each} is no checkpoint, but all of a repository", "Name each one, as REPO@7.")
        numbers[named.path].add(Repository(named.path).resolve(named.which))
    for path, chosen in numbers.items():
        _prune(Repository(path), None, chosen, as_json)
    for file in files:
        _remove_file(file, as_json)


def _has_copies(file: Path) -> bool:
    from pyxl.ops.disks_in_step import belonging_to

    return bool(belonging_to(file))


def _remove_file(file: Path, as_json: bool) -> None:
    from pyxl.ops.disks_in_step import remove_checkpoint

    if left := remove_checkpoint(file):
        raise PyxlError(f"{file} stays{left}", "The same command tries again.")
    click.echo(json.dumps({"file": str(file), "removed": True}) if as_json else printable(f"{file}: removed"))


def _prune(repository: Repository, keep: "Keep | None", remove: Collection[int], as_json: bool) -> None:
    from pyxl import interrupt
    from pyxl.repository.prune import prune

    interrupt.install()
    done = prune(repository, keep, remove)
    if as_json:
        click.echo(json.dumps({"repository": str(repository.path), **done._asdict()}))
        return
    which = f" ({', '.join(map(str, done.removed))})" if done.removed else ""
    said = f"{repository.path}: removed {len(done.removed)} checkpoint{'s' * (len(done.removed) != 1)}{which}"
    said += f", freed {size(done.freed)}; {size(done.size)} left"
    if done.dead:
        said += f", {size(done.dead)} of them in use by none"
    click.echo(printable(said))
    for problem in done.problems:
        tell(f"pyxl: {printable(problem)}")
