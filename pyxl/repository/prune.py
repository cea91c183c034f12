"""Removal of checkpoints, and of all that no other one needs.

Nothing that a checkpoint names is removed before no manifest on the disk names it: whoever dies when, each checkpoint
that was not to go is there, and what is left over goes next time.
"""

import re
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.durable import sync_directory
from pyxl.checkpoint.new_file import NewFile
from pyxl.errors import PyxlError
from pyxl.repository import copies_gone, manifest, retention
from pyxl.repository.manifest import PackRef
from pyxl.repository.repository import Repository
from pyxl.repository.retention import Keep
from pyxl.repository.rewrite import Rewrite
from pyxl.repository.survey import Survey
from pyxl.repository.victims import Use, victims

#: What new files are called until they have their names.
_TEMPORARY = re.compile(r"\..+\.\d+\.new")


class Pruned(NamedTuple):
    """Which checkpoints were ``removed``, and bytes: how many fewer there are, were written anew, are dead, are there.

    ``problems`` are what kept it from more: with a manifest that is damaged, no pack is removed, as it may need any.
    """

    removed: list[int]
    freed: int
    rewritten: int
    dead: int
    size: int
    problems: list[str]


def prune(
    repository: Repository, keep: Keep | None = None, remove: Collection[int] = (),
    *, uuid: str = "", seconds: float | None = None,
) -> Pruned:  # fmt: skip
    """Remove checkpoints: those of ``remove``, and of the others those that ``keep`` does not keep.

    With ``uuid`` it keeps all of other guests.  Waits until nobody else is at work in the repository, at most so many
    seconds.  A checkpoint that is not whole is removed only by its number, and is none of those that ``keep`` counts.

    :raise PyxlError: there is no such checkpoint, and nothing was done; or the disk fails, and each checkpoint that
        stays is as it was.
    """
    with repository.locks.alone(seconds):
        gone = _chosen(repository, keep, remove, uuid)
        try:
            before = _size(repository)
            # libxc's files are made beside others: whose process lives is not left over.
            _remove(repository.path, (name for name in _temporaries(repository.path) if not _lives(name)))
            copies_gone.note(repository, gone)
            _remove(repository.manifests, (repository.manifest_path(number).name for number in gone))
            left = copies_gone.remove(repository)
            _remove(repository.manifests, _temporaries(repository.manifests))
            survey = Survey(repository)
            survey.problems += [left.removeprefix("; ")] if left else []
            _remove(repository.packs, (*_temporaries(repository.packs), *survey.unneeded()))
            rewritten, uses = 0, survey.uses()
            while survey.is_complete and (chosen := victims(uses)):
                new, pages, written = _rewrite(repository, survey, chosen)
                uses = {name: use for name, use in uses.items() if name not in chosen}
                uses[new.name] = Use(new.size, pages, pages)
                rewritten += written
            size = _size(repository)
        except OSError as error:
            raise PyxlError(
                f"{repository.path} is not pruned to its end: {error.strerror}",
                "Each checkpoint that stays is as it was.  What is left over goes when it is pruned again.",
            ) from error
    dead = sum(use.dead for use in uses.values())
    return Pruned(gone, before - size, rewritten, dead, size, survey.problems)


def outdated(repository: Repository, keep: Keep, uuid: str = "", apart: Collection[int] = ()) -> set[int]:
    """Return the numbers of checkpoints that rules do not keep, with ``uuid`` of one guest.

    One that is not whole, or of the numbers in ``apart``, is none of them, and is not counted.  Nobody may remove any
    meanwhile.
    """
    listed = ((number, repository.listed(number)) for number in repository.numbers() if number not in apart)
    whole = [each.facts._replace(number=number) for number, each in listed if not each.problem]
    if uuid:
        whole = [facts for facts in whole if facts.uuid == uuid]
    return {facts.number for facts in whole} - retention.kept(keep, whole)


def _chosen(repository: Repository, keep: Keep | None, remove: Collection[int], uuid: str) -> list[int]:
    """Return the numbers of the checkpoints that go."""
    numbers = set(repository.numbers())
    if missing := sorted(set(remove) - numbers):
        hint = f"`pyxl checkpoints {repository.path}` lists them."
        raise PyxlError(f"{repository.path} has no checkpoint {', '.join(map(str, missing))}", hint)
    gone = set(remove)
    return sorted(gone | outdated(repository, keep, uuid, gone) if keep else gone)


def _rewrite(repository: Repository, survey: Survey, chosen: list[str]) -> tuple[PackRef, int, int]:
    """Copy what is needed of packs to a new one, and remove them; return that one, its pages, and bytes written."""
    path = repository.pack_path(repository.new_number())
    naming = survey.naming(chosen)
    try:
        with NewFile(path) as file:
            rewrite = Rewrite(file, path.name)
            for name in chosen:
                with closing(repository.open_pack(name, survey.packs[name].size)) as old:
                    rewrite.take(old, survey.packs[name])
            new = rewrite.end()
        written = new.size
        for number in naming:
            before = repository.parsed(number, repository.read_manifest(number))
            with NewFile(repository.manifest_path(number)) as file:
                file.write(manifest.encode(rewrite.followed(before, new)))
                written += file.size()
                file.sync()
                file.commit()
            survey.named[number] = survey.named[number].difference(chosen) | {new.name}
    except BaseException:
        if not any(path.name in (ref.name for ref in repository.listed(number).packs) for number in naming):
            path.unlink(missing_ok=True)
        raise
    _remove(repository.packs, chosen)
    survey.problems += rewrite.problems
    return new, rewrite.pages, written


def _temporaries(directory: Path) -> list[str]:
    """Return the names of files that became nothing, as their writers have died."""
    return [each.name for each in directory.iterdir() if _TEMPORARY.fullmatch(each.name)]


def _lives(name: str) -> bool:
    return Path("/proc", name.split(".")[-2]).exists()


def _remove(directory: Path, names: Iterable[str]) -> None:
    """Remove files, and wait until that is on the disk."""
    if not (found := list(names)):
        return
    for name in found:
        (directory / name).unlink(missing_ok=True)
    sync_directory(directory)


def _size(repository: Repository) -> int:
    """Return how many bytes packs and manifests take, and what is left over of others."""
    return sum(each.stat().st_size for where in (repository.manifests, repository.packs) for each in where.iterdir())
