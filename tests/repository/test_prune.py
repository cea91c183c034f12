"""Pruning: what is to stay comes back as it was, and little that nobody needs is left."""

import os
import random
from contextlib import closing
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.memory.places import RUN
from pyxl.repository.locks import Busy
from pyxl.repository.prune import Pruned, outdated, prune
from pyxl.repository.repository import Repository
from pyxl.repository.retention import Keep
from pyxl.repository.survey import Survey
from pyxl.repository.victims import DEAD_SHARE, Use, dead_share, victims
from pyxl.repository.view import View
from tests.repository.guests import PAGE, UUID, FakeGuest, checkpoint, differing, guest, restored

OTHER = "8d5b2a0e-0000-4000-8000-000000000002"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.made(tmp_path / "repository")


def copy(of: FakeGuest) -> FakeGuest:
    return FakeGuest({gfn: bytes(page) for gfn, page in of.pages.items()})


def change(source: FakeGuest, chance: random.Random, count: int) -> None:
    for gfn in chance.sample(sorted(source.pages), count):
        source.pages[gfn][:] = chance.choice([bytes(PAGE), chance.randbytes(PAGE), chance.randbytes(PAGE)])


def made(repository: Repository, count: int, *, changes: int = 150, seed: int = 16) -> dict[int, FakeGuest]:
    """Make checkpoints of a guest that changes; return what each is of."""
    source, chance, found = guest(), random.Random(seed), {}
    for day in range(count):
        number = checkpoint(repository, source, saved=1.8e9 + 86400 * day)
        found[number] = copy(source)
        change(source, chance, changes)
    return found


def is_as_it_was(repository: Repository, expected: dict[int, FakeGuest]) -> None:
    """Fail unless these are the repository's checkpoints, each whole, in manifests that obey their rules."""
    assert [(each.facts.number, each.problem) for each in repository.all()] == [(number, "") for number in sorted(expected)]
    for number, then in expected.items():
        with closing(View(repository, number)) as view:  # it checks the runs
            assert not list(view.damaged())
        assert not differing(restored(repository, number), then), number


def is_tidy(repository: Repository, pruned: Pruned) -> None:
    """Fail unless little is dead, and nothing is there but what manifests name."""
    survey = Survey(repository)
    assert dead_share(survey.uses()) <= DEAD_SHARE
    assert pruned.dead == sum(use.dead for use in survey.uses().values())
    assert not survey.unneeded() and not survey.problems and not pruned.problems
    assert {each.name for each in repository.packs.iterdir()} == set(survey.packs)
    assert {each.name for each in repository.manifests.iterdir()} == {repository.manifest_path(n).name for n in repository.numbers()}
    files = [*repository.packs.iterdir(), *repository.manifests.iterdir()]
    assert pruned.size == sum(each.stat().st_size for each in files)


def size(repository: Repository) -> int:
    return sum(each.stat().st_size for where in (repository.packs, repository.manifests) for each in where.iterdir())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_all_else_comes_back_as_it_was(repository: Repository, seed: int) -> None:
    chance = random.Random(seed)
    guests = made(repository, 7, changes=chance.choice([20, 150, 600]), seed=seed)
    while len(guests) > 1:
        remove = set(chance.sample(sorted(guests), chance.randint(1, len(guests) - 1)))
        before = size(repository)
        pruned = prune(repository, remove=remove)
        assert pruned.removed == sorted(remove)
        assert pruned.freed == before - pruned.size
        guests = {number: each for number, each in guests.items() if number not in remove}
        is_as_it_was(repository, guests)
        is_tidy(repository, pruned)
    (last,) = guests.values()
    new = copy(last)
    change(new, chance, 100)
    guests[checkpoint(repository, new)] = new
    assert repository.all()[-1].facts.new <= 100  # the hashes were carried over
    is_as_it_was(repository, guests)


def test_a_number_that_is_not_there_is_named_before_anything_is_done(repository: Repository) -> None:
    guests = made(repository, 2)
    with pytest.raises(PyxlError, match=r"has no checkpoint 3, 9$"):
        prune(repository, remove={1, 9, 3})
    is_as_it_was(repository, guests)


def test_what_is_not_kept_goes_of_each_guest(repository: Repository) -> None:
    guests = made(repository, 5)
    other = guest()
    guests |= {checkpoint(repository, other, uuid=OTHER, saved=1.7e9 + day): other for day in range(3)}
    assert prune(repository, Keep(last=2)).removed == [1, 2, 3, 6]
    is_as_it_was(repository, {number: guests[number] for number in (4, 5, 7, 8)})
    assert prune(repository, Keep(last=1), remove={5}).removed == [5, 7]  # what is named does not count
    is_as_it_was(repository, {number: guests[number] for number in (4, 8)})


def test_nothing_is_written_where_enough_is_alive(repository: Repository) -> None:
    guests = made(repository, 4, changes=10)
    pruned = prune(repository, remove={2})
    assert pruned.rewritten == 0 and pruned.dead < DEAD_SHARE * pruned.size
    assert prune(repository) == pruned._replace(removed=[], freed=0)
    del guests[2]
    is_as_it_was(repository, guests)


def test_packs_are_merged(repository: Repository) -> None:
    guests = made(repository, 8, changes=300)
    pruned = prune(repository, remove=set(range(1, 8)))
    assert repository.pack_names() == [f"{number:08}.pack" for number in (5, 6, 7, 8, 9)]
    assert 0 < pruned.rewritten < pruned.size
    is_as_it_was(repository, {8: guests[8]})
    is_tidy(repository, pruned)


def test_the_last_checkpoint_may_go(repository: Repository) -> None:
    made(repository, 2)
    pruned = prune(repository, remove={1, 2})
    assert pruned.size == pruned.dead == 0
    assert not repository.pack_names()
    assert repository.new_number() == 3


def test_what_dead_writers_have_left_goes_and_what_is_not_ours_stays(repository: Repository) -> None:
    guests = made(repository, 2)
    for left in (".00000003.pack.4711.new", "00000009.pack"):
        (repository.packs / left).write_bytes(b"left")
    (repository.manifests / ".00000002.manifest.4711.new").write_bytes(b"left")
    (repository.packs / "notes").write_bytes(b"mine")
    assert prune(repository).freed == 12
    assert sorted(each.name for each in repository.packs.iterdir()) == ["00000001.pack", "00000002.pack", "notes"]
    assert len(list(repository.manifests.iterdir())) == 2
    is_as_it_was(repository, guests)


def test_with_a_damaged_manifest_no_pack_is_touched(repository: Repository) -> None:
    guests = made(repository, 4, changes=600)
    path = repository.manifest_path(2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes(20))
    packs = {each: each.read_bytes() for each in repository.packs.iterdir()}
    pruned = prune(repository, Keep(last=1), remove={1})
    assert pruned.removed == [1, 3]  # of those that were understood, the newest stays
    assert pruned.problems == ["checkpoint 2: the manifest is cut short or damaged: its sum differs"]
    assert {each: each.read_bytes() for each in repository.packs.iterdir()} == packs
    path.write_bytes(whole)
    is_as_it_was(repository, {2: guests[2], 4: guests[4]})
    path.write_bytes(whole[:-1])
    assert not prune(repository, remove={2}).problems
    is_as_it_was(repository, {4: guests[4]})


def test_runs_that_lead_nowhere_are_a_damaged_manifest(repository: Repository) -> None:
    from pyxl.repository import manifest

    made(repository, 2)
    path = repository.manifest_path(1)
    parsed = manifest.parse(path.read_bytes())
    path.write_bytes(manifest.encode(parsed._replace(runs=RUN.pack(0, 100, 1 << 40 | 200))))
    assert prune(repository).problems == ["checkpoint 1: it has pages in slots that are not there"]
    path.write_bytes(manifest.encode(parsed._replace(runs=RUN.pack(0, 100, 9 << 40))))
    assert prune(repository).problems == ["checkpoint 1: it has pages in slots that are not there"]


def test_a_checkpoint_whose_pack_is_missing_keeps_its_other_packs(repository: Repository) -> None:
    guests = made(repository, 3, changes=600)
    away = (repository.packs / "00000002.pack").rename(repository.path / "away")
    pruned = prune(repository, remove={1})
    assert pruned.problems == ["checkpoint 2: pack 00000002.pack is missing"]
    assert pruned.rewritten
    away.rename(repository.packs / "00000002.pack")
    is_as_it_was(repository, {2: guests[2], 3: guests[3]})
    is_tidy(repository, prune(repository))


def test_a_damaged_frame_stays_as_it_is_and_the_others_are_rewritten(repository: Repository) -> None:
    guests = made(repository, 4, changes=900)
    first = repository.packs / "00000001.pack"
    data = bytearray(first.read_bytes())
    data[100] ^= 1
    first.write_bytes(data)
    pruned = prune(repository, remove={1, 2})
    assert pruned.rewritten and not first.exists()
    assert pruned.problems[0].startswith("frame 1 of pack 00000001.pack is not what was saved: ")
    with closing(View(repository, 3)) as view:
        assert len(list(view.damaged())) == 1
    assert sorted(guests)[2:] == repository.numbers()


def test_an_open_checkpoint_stays_readable(repository: Repository) -> None:
    guests = made(repository, 3, changes=600)
    with closing(View(repository, 1)) as view, closing(View(repository, 3)) as other:
        before = [bytes(each.take(each.size)) for each in (view, other)]
        prune(repository, remove={1, 2})
        assert "00000001.pack" not in repository.pack_names()
        for each, content in zip((view, other), before, strict=True):
            each.offset = 0
            assert bytes(each.take(each.size)) == content
    is_as_it_was(repository, {3: guests[3]})


def test_two_prunes_at_once(repository: Repository) -> None:
    guests = made(repository, 5, changes=400)
    children = []
    for number in (1, 2, 3):
        if not (child := os.fork()):
            status = 1
            try:
                prune(repository, remove={number})
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    is_as_it_was(repository, {number: guests[number] for number in (4, 5)})
    is_tidy(repository, prune(repository))


def test_who_works_there_is_waited_for(repository: Repository) -> None:
    made(repository, 1)
    with repository.locks.shared(), pytest.raises(Busy):
        prune(repository, remove={1}, seconds=0.1)
    assert repository.numbers() == [1]


def test_victims_are_no_more_than_needed() -> None:
    packs = {"a": Use(100, 10, 10), "b": Use(100, 10, 1), "c": Use(100, 10, 8), "d": Use(100, 10, 5), "e": Use(0, 0, 0)}
    assert victims(packs) == ["b", "d"]
    assert victims({"a": Use(100, 10, 8)}) == []
    assert victims({"a": Use(100, 10, 7)}) == ["a"]
    assert victims({}) == []


@pytest.mark.parametrize("seed", range(50))
def test_victims_leave_little_dead(seed: int) -> None:
    chance = random.Random(seed)
    packs = {}
    for number in range(chance.randint(1, 40)):
        pages = chance.randint(1, 1000)
        packs[number] = Use(chance.randint(1, 4096) * pages, pages, chance.randint(0, pages))
    after = dict(packs)
    for number in victims(packs):
        after[number] = Use(packs[number].stored - packs[number].dead, packs[number].live, packs[number].live)
    assert dead_share(after) <= DEAD_SHARE
    for number in victims(packs)[-1:]:
        after[number] = packs[number]
        assert dead_share(after) > DEAD_SHARE


def test_rules_for_one_guest_keep_all_of_others_and_do_not_count_what_is_not_whole(repository: Repository) -> None:
    guests = made(repository, 3)
    other = checkpoint(repository, guest(), uuid=OTHER)
    last = checkpoint(repository, guests[3], is_full=True)
    repository.pack_path(3).write_bytes(b"")
    assert [each.facts.number for each in repository.all() if each.problem] == [3]
    assert outdated(repository, Keep(last=2), UUID) == {1}
    pruned = prune(repository, Keep(last=1), uuid=UUID)
    assert pruned.removed == [1, 2]
    assert repository.numbers() == [3, other, last]
