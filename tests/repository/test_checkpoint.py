"""Checkpoints of a guest in a repository: each comes back as it was, and only what has changed is written."""

import random
from pathlib import Path

import pytest

from pyxl.errors import UsageError
from pyxl.memory.places import RUN
from pyxl.repository.repository import Repository
from pyxl.repository.view import View
from tests.repository.guests import PAGE, FakeGuest, checkpoint, differing, guest, restored


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.made(tmp_path / "repository")


def copy(of: FakeGuest) -> FakeGuest:
    return FakeGuest({gfn: bytes(page) for gfn, page in of.pages.items()})


def test_each_checkpoint_comes_back_as_the_guest_was(repository: Repository) -> None:
    source, chance, before = guest(), random.Random(15), {}
    for _ in range(6):
        number = checkpoint(repository, source)
        before[number] = copy(source)
        for gfn in chance.sample(sorted(source.pages), 40):
            source.pages[gfn][:] = chance.choice([bytes(PAGE), chance.randbytes(PAGE)])
    assert sorted(before) == [1, 2, 3, 4, 5, 6]
    for number, then in before.items():
        assert not differing(restored(repository, number), then)


def test_only_pages_that_have_changed_are_written(repository: Repository) -> None:
    source = guest()
    checkpoint(repository, source)
    for gfn in (3, 700, 900, 0x2FF1):
        source.pages[gfn][:] = bytes([gfn & 0xFF]) * PAGE
    source.pages[5][:] = bytes(PAGE)
    checkpoint(repository, source)
    checkpoint(repository, source)
    first, second, third = repository.all()
    assert first.facts.new == first.facts.pages - first.facts.zero
    assert second.facts.new == 4
    assert third.facts.new == 0
    assert second.facts.pages == first.facts.pages == len(source.pages)
    assert [len(each.packs) for each in (first, second, third)] == [1, 2, 3]


def test_runs_lie_in_whole_frames_of_a_dense_guest(repository: Repository) -> None:
    source = FakeGuest({gfn: random.Random(gfn).randbytes(PAGE) for gfn in range(2048)})
    view = View(repository, checkpoint(repository, source))
    assert [count for _, count, _ in RUN.iter_unpack(view.manifest.runs)] == [256] * 8
    view.close()


def test_memory_that_is_given_back_or_new_is_gone_or_there(repository: Repository) -> None:
    source = guest()
    checkpoint(repository, source)
    del source.pages[0xC0], source.pages[600]
    source.pages[0x9D] = bytearray(b"\x07" * PAGE)
    assert not differing(restored(repository, checkpoint(repository, source)), source)


def test_a_broken_page_stays_broken(repository: Repository) -> None:
    source = guest()
    source.broken = {0xC1}
    with_broken = restored(repository, checkpoint(repository, source))
    assert differing(with_broken, source) == [0xC1]
    source.broken = set()
    assert not differing(restored(repository, checkpoint(repository, source)), source)


def test_one_that_is_damaged_is_no_reason_for_having_no_other(repository: Repository) -> None:
    source = guest()
    checkpoint(repository, source)
    pack = repository.pack_path(1)
    pack.write_bytes(pack.read_bytes()[:-1] + b"\0")
    assert not differing(restored(repository, checkpoint(repository, source)), source)
    assert repository.listed(2).facts.new == repository.listed(1).facts.new


def test_a_guest_that_was_created_anew_goes_on_under_its_name(repository: Repository) -> None:
    checkpoint(repository, guest(), uuid="u1")
    checkpoint(repository, guest(), uuid="u2")
    assert repository.resolve("") == repository.resolve("web1") == 2
    assert repository.resolve("u1") == 1
    checkpoint(repository, guest(), uuid="u3", name="db")
    with pytest.raises(UsageError, match="has checkpoints of db, web1: which is meant"):
        repository.resolve("latest")
