"""The values of arguments: domains and devices by xenstore, checkpoints, repositories and configs by their files."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from pyxl.errors import StoreError
from pyxl.model import paths

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pyxl.model.ports import Store

#: Seconds that xenstored may take: somebody waits with a finger on a key.
_SECONDS = 0.2
_CONFIGS = (".cfg", ".conf", ".xl", ".hvm")
#: Entries of a directory that are opened to see whether they are checkpoints.
_MOST = 500

_Values = Callable[[click.Context, str], Iterable[CompletionItem]]


def among(known: list[str]) -> _Values:
    """Return what offers these."""
    return lambda _, incomplete: [CompletionItem(value) for value in known if value.startswith(incomplete)]


def files(_: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Leave it to the shell, which knows files best."""
    yield CompletionItem(incomplete, type="file")


def directories(_: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    for path, entry in _entries(incomplete):
        if entry.is_dir():
            yield CompletionItem(f"{path}/", type="path")


def configs(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Offer xl.cfg files, by their names; all files where there are none."""
    from pyxl.repository.reference import is_repository

    for path, entry in _entries(incomplete):
        if entry.is_dir():
            if not is_repository(Path(entry.path)):
                yield CompletionItem(f"{path}/", type="path")
        elif entry.name.endswith(_CONFIGS):
            yield CompletionItem(path, type="path")
    yield from files(ctx, incomplete)


def checkpoints(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Offer files that begin as checkpoints do, repositories, and REPO@N; all files where there are none."""
    from pyxl.repository.reference import is_repository

    repository, at, which = incomplete.rpartition("@")
    if at and is_repository(Path(repository)):
        yield from _kept(repository, which)
        return
    for number, (path, entry) in enumerate(_entries(incomplete)):
        if entry.is_dir():
            if is_repository(Path(entry.path)):
                yield CompletionItem(path, type="part")
                yield CompletionItem(f"{path}@", type="part")
            else:
                yield CompletionItem(f"{path}/", type="path")
        elif number < _MOST and _is_checkpoint(entry):
            yield CompletionItem(path, type="path")
    yield from files(ctx, incomplete)


def checkpoints_and_domains(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    yield from domains(ctx, incomplete)
    yield from checkpoints(ctx, incomplete)


def clones(_: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Offer the clones of this host, by the names of their records."""
    for file in sorted(Path(paths.CLONES).glob("*.json")):
        if file.stem.startswith(incomplete):
            yield CompletionItem(file.stem)


def repositories(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    return directories(ctx, incomplete)


def any_config(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    yield from domains(ctx, incomplete)
    yield from configs(ctx, incomplete)
    yield from checkpoints(ctx, incomplete)


def domains(_: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Offer the names of guests, with their domids; none where xenstore cannot be read."""
    for domid, name in _guests():
        if name.startswith(incomplete):
            yield CompletionItem(name, help=f"domain {domid}")


def domids(_: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    for domid, name in _guests():
        if domid.startswith(incomplete):
            yield CompletionItem(domid, help=name)


def devices(kind: str) -> _Values:
    """Return what offers the devices of the domain that was named before: vdevs of disks, numbers of NICs."""

    def found(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
        wanted = str(ctx.params.get("domain"))
        for domid, name in _guests():
            if wanted in (domid, name):
                for value, help in _devices(int(domid), kind):
                    if value.startswith(incomplete):
                        yield CompletionItem(value, help=help)

    return found


def _guests() -> list[tuple[str, str]]:
    try:
        with _store() as store:
            numbers = sorted(map(int, filter(str.isdigit, store.children(paths.LOCAL_DOMAIN))))
            return [(str(domid), store.read(paths.name(domid)) or "") for domid in numbers if domid]
    except StoreError:
        return []


def _devices(domid: int, kind: str) -> list[tuple[str, str]]:
    with _store() as store:
        found = []
        for number in store.children(paths.libxl_devices(domid, kind)):
            backend = store.read(f"{paths.libxl_devices(domid, kind)}/{number}/backend")
            if kind == "vbd":
                found.append((store.read(f"{backend}/dev") or number, store.read(f"{backend}/params") or ""))
            else:
                found.append((number, store.read(f"{backend}/mac") or ""))
        return found


def _store() -> "AbstractContextManager[Store]":
    from pyxl.cli import wiring

    return wiring.open_store(_SECONDS)


def _kept(repository: str, which: str) -> Iterator[CompletionItem]:
    """Offer the checkpoints of a repository, the newest first."""
    from pyxl.repository.repository import Repository

    for number in ["latest", *map(str, reversed(Repository(Path(repository)).numbers()))]:
        if number.startswith(which):
            yield CompletionItem(f"{repository}@{number}")


def _entries(incomplete: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files that a path may become, each as it would be typed; hidden ones where a dot is there."""
    directory, slash, begun = incomplete.rpartition("/")
    try:
        with os.scandir(Path(directory + slash or ".").expanduser()) as found:
            entries = sorted(found, key=lambda each: each.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(begun) and (begun or not entry.name.startswith(".")):
            yield f"{directory}{slash}{entry.name}", entry


def _is_checkpoint(entry: os.DirEntry[str]) -> bool:
    from pyxl.formats import seekable
    from pyxl.formats.stream.xl_header import MAGIC

    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False
        with open(entry.path, "rb") as source:
            return source.read(len(MAGIC)).startswith((MAGIC, seekable.MAGIC))
    except OSError:
        return False
