"""Whoever dies when, and whichever write the disk refuses: no checkpoint is lost, and a prune cleans all up."""

import errno
import os
import random
import shutil
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import PyxlError
from pyxl.repository.prune import prune
from pyxl.repository.repository import Repository
from pyxl.repository.view import View
from tests.repository.crashes import POWER, PROCESS, SOME, dies_at
from tests.repository.guests import PAGE, FakeGuest, checkpoint, differing, restored

SEEDS = {PROCESS: 1, POWER: 1, SOME: 2}


def changed(source: FakeGuest, seed: int) -> FakeGuest:
    chance = random.Random(seed)
    pages = {gfn: bytes(page) for gfn, page in source.pages.items()}
    for gfn in chance.sample(range(160), 60):
        pages[gfn] = chance.randbytes(PAGE)
    return FakeGuest(pages)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, FakeGuest]]:
    """A repository with six checkpoints of a small guest, and what each is of."""
    path = tmp_path_factory.mktemp("template") / "repository"
    repository, guests = Repository.made(path), {}
    source = FakeGuest(dict.fromkeys((*range(160), *range(0x2FF0, 0x3000)), bytes(PAGE)))
    for seed in range(6):
        source = changed(source, seed)
        guests[checkpoint(repository, source, threads=1)] = source
    return path, guests


class Copies:
    """Makes copies of a repository, each in the place of the one before."""

    def __init__(self, template: Path, directory: Path) -> None:
        self._template, self._directory = template, directory
        self.graves = directory / "graves"

    def new(self) -> Repository:
        for each in (self._directory / "repository", self.graves):
            shutil.rmtree(each, ignore_errors=True)
        self.graves.mkdir()
        return Repository(Path(shutil.copytree(self._template, self._directory / "repository")))


@pytest.fixture
def copies(template: tuple[Path, dict[int, FakeGuest]], tmp_path: Path) -> Copies:
    return Copies(template[0], tmp_path)


def whole(repository: Repository, guests: dict[int, FakeGuest], least: set[int]) -> set[int]:
    """Return the checkpoints that are whole; fail if one of the least is not, or one is not as it was."""
    found = {each.facts.number for each in repository.all() if not each.problem}
    assert least <= found <= guests.keys()
    for number in found:
        with closing(View(repository, number)) as view:
            assert not list(view.damaged())
        assert not differing(restored(repository, number, threads=1), guests[number]), number
    return found


def is_clean(repository: Repository, guests: dict[int, FakeGuest], remove: set[int]) -> None:
    """Prune once more, and fail if anything is left over."""
    there = set(repository.numbers())
    pruned = prune(repository, remove=remove & there)
    assert not pruned.problems
    whole(repository, guests, there - remove)
    needed = {ref.name for each in repository.all() for ref in each.packs}
    assert {each.name for each in repository.packs.iterdir()} == needed
    assert len(list(repository.manifests.iterdir())) == len(there - remove)
    assert len(list(repository.path.iterdir())) == 4


@pytest.mark.parametrize("what", [PROCESS, POWER, SOME])
def test_a_prune_that_dies_anywhere(template: tuple[Path, dict[int, FakeGuest]], copies: Copies, what: str) -> None:
    guests, remove = template[1], {1, 2, 4}
    for seed in range(SEEDS[what]):
        for step in count():
            repository = copies.new()
            died = dies_at(step, partial(prune, repository, remove=remove), what, copies.graves, seed)
            found = whole(repository, guests, guests.keys() - remove)
            if not died:
                assert found == guests.keys() - remove and step > 20
                break
            is_clean(repository, guests, remove)


@pytest.mark.parametrize("what", [PROCESS, POWER, SOME])
def test_a_checkpoint_that_dies_anywhere(template: tuple[Path, dict[int, FakeGuest]], copies: Copies, what: str) -> None:
    before = template[1]
    new = changed(before[6], 99)
    for seed in range(SEEDS[what]):
        for step in count():
            repository = copies.new()
            died = dies_at(step, partial(checkpoint, repository, new, threads=1), what, copies.graves, seed)
            guests = before | {number: new for number in repository.numbers() if number not in before}
            found = whole(repository, guests, set(before))
            if not died:
                assert found == {*before, 7} and step > 10
                break
            is_clean(repository, guests, set())


class FullDisk:
    """Refuses the writes to files from one on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int, number: int = errno.ENOSPC) -> None:
        self._left, self._errno = left, number
        self._really = os.write
        monkeypatch.setattr(os, "write", self._write)

    def _write(self, fd: int, data: Any) -> int:
        if ".new" in os.readlink(f"/proc/self/fd/{fd}"):  # noqa: PTH115
            if not self._left:
                raise OSError(self._errno, os.strerror(self._errno))
            self._left -= 1
        return self._really(fd, data)


def test_a_disk_that_fills_up_during_a_prune(
    template: tuple[Path, dict[int, FakeGuest]], copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests, remove = template[1], {1, 2, 4}
    stays = guests.keys() - remove
    for step in count():
        repository = copies.new()
        with monkeypatch.context() as within:
            FullDisk(within, step)
            try:
                prune(repository, remove=remove)
                break
            except PyxlError as error:
                assert str(error) == f"{repository.path} is not pruned to its end: No space left on device"
        assert whole(repository, guests, stays) == stays
        assert not [each for each in repository.packs.iterdir() if each.name.endswith(".new")]
        named = {ref.name for each in repository.all() for ref in each.packs}
        assert {each.name for each in repository.packs.iterdir()} == named  # the new one is gone, or needed
        is_clean(repository, guests, remove)
    assert step == 5  # a frame, the index, three manifests


def test_a_disk_that_fills_up_during_a_checkpoint(
    template: tuple[Path, dict[int, FakeGuest]], copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests = template[1]
    new = changed(guests[6], 99)
    for step in count():
        repository = copies.new()
        before = {each: each.read_bytes() for each in repository.path.rglob("*") if each.parent.name in ("packs", "manifests")}
        with monkeypatch.context() as within:
            FullDisk(within, step)
            try:
                checkpoint(repository, new, threads=1)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
        after = {each: each.read_bytes() for each in repository.path.rglob("*") if each.parent.name in ("packs", "manifests")}
        assert after == before
    assert step > 2
