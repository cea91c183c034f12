"""The simulated year counts as a look at every page does."""

from array import array

import pytest

from pyxl.memory.places import RUN, SLOTS
from pyxl.repository.layout import check
from pyxl.repository.victims import DEAD_SHARE
from tests.repository import year
from tests.repository.year_chart import draw

PAGES = 1 << 13


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(year, "GUEST_PAGES", PAGES)
    monkeypatch.setattr(year, "CHANGES", PAGES // 100)


def test_counts_are_those_of_pages() -> None:
    model, guest = year.Year(), year.Guest(1)
    snapshots: dict[int, array[int]] = {}
    for number in range(240):
        model.checkpoint(number, guest.changes() if number else [(0, PAGES)])
        snapshots[number] = array("H", model._written)
        if (number + 1) % year.PER_DAY:
            continue
        _, dead = model.prune()
        assert dead <= DEAD_SHARE
        snapshots = {facts.number: snapshots[facts.number] for facts in model.there}
        needed = {page << 16 | written for each in snapshots.values() for page, written in enumerate(each)}
        assert sum(use.live for use in model.uses().values()) == len(needed)
        for birth in range(number + 1):
            assert model._live[birth] == sum(1 for each in needed if each & 0xFFFF == birth)
    assert len(snapshots) < 40
    newest = model.newest()
    assert not check(newest.runs, [[SLOTS] * 1000 for _ in newest.packs])
    assert sum(count for _, count, _ in RUN.iter_unpack(newest.runs)) == PAGES


def test_it_is_drawn() -> None:
    days = list(year.simulated(36, 2))
    assert [day.day for day in days] == [1, 2, 3]
    assert all(day.runs for day in days[::2])
    assert draw(days).count("<polyline") == 9
