"""Which checkpoints are kept."""

import os
import time
from collections.abc import Iterator

import pytest

from pyxl.errors import UsageError
from pyxl.repository.manifest import Facts
from pyxl.repository.retention import Keep, kept, parse


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def facts(*saved: str, uuid: str = "a", first: int = 1) -> list[Facts]:
    return [Facts(first + at, uuid, "web", each, "", "", "", 0, 0, 0, 0, "", 0.0) for at, each in enumerate(saved)]


def test_rules_are_read() -> None:
    assert parse("last=6,hourly=24,daily=7") == Keep(6, 24, 7)
    assert parse(" weekly = 1 , monthly=2,yearly=0,") == Keep(weekly=1, monthly=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' keeps no checkpoint"),
        ("last=0,daily=0", "'last=0,daily=0' keeps no checkpoint"),
        ("dayly=7", "'dayly=7' keeps nothing: a rule is one of last, hourly, daily, weekly, monthly, yearly"),
        ("7", "'7' keeps nothing: a rule is one of last, hourly, daily, weekly, monthly, yearly"),
        ("daily", "'daily' has no number of checkpoints"),
        ("daily=-1", "'daily=-1' has no number of checkpoints"),
        ("daily=²", "'daily=²' has no number of checkpoints"),
        ("daily=1,daily=2", "daily is there twice"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == said
    assert caught.value.hint


def test_the_newest_of_each_period_is_kept() -> None:
    given = facts(
        "2025-12-31T10:00:00Z", "2026-01-30T10:00:00Z", "2026-02-01T08:00:00Z", "2026-02-01T10:05:00Z",
        "2026-02-01T10:55:00Z", "2026-02-02T09:00:00Z", "2026-02-02T09:30:00Z",
    )  # fmt: skip
    assert kept(Keep(last=2), given) == {6, 7}
    assert kept(Keep(hourly=3), given) == {7, 5, 3}
    assert kept(Keep(daily=3), given) == {7, 5, 2}
    assert kept(Keep(weekly=2), given) == {7, 5}
    assert kept(Keep(monthly=3), given) == {7, 2, 1}
    assert kept(Keep(yearly=9), given) == {7, 1}
    assert kept(Keep(last=1, daily=2, yearly=2), given) == {7, 5, 1}


def test_each_guest_has_its_own() -> None:
    given = facts("2026-02-01T10:00:00Z", "2026-02-02T10:00:00Z")
    given += facts("2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", uuid="b", first=3)
    assert kept(Keep(last=1), given) == {2, 4}
    assert kept(Keep(daily=9), given) == {1, 2, 3, 4}


def test_the_newest_is_kept_whatever_the_rules_say() -> None:
    assert kept(Keep(), facts("2026-02-01T10:00:00Z", "2026-02-01T11:00:00Z")) == {2}
    assert kept(Keep(last=5), []) == set()


def test_periods_are_those_of_the_local_clock() -> None:
    # 23:30 and 00:30 here, on one day in UTC.
    assert kept(Keep(daily=2), facts("2026-07-01T21:30:00Z", "2026-07-01T22:30:00Z")) == {1, 2}
    # Sunday and Monday, of two weeks; the week of New Year's is one.
    assert kept(Keep(weekly=2), facts("2026-07-05T21:30:00Z", "2026-07-05T22:30:00Z")) == {1, 2}
    assert kept(Keep(weekly=2), facts("2025-12-30T10:00:00Z", "2026-01-02T10:00:00Z")) == {2}
    # 02:30 comes twice in the night when summer ends.
    assert kept(Keep(hourly=2), facts("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")) == {1, 2}


def test_the_order_is_that_of_numbers_where_the_clock_was_set_back() -> None:
    assert kept(Keep(last=1, daily=1), facts("2099-01-01T10:00:00Z", "2026-02-01T10:00:00Z")) == {2}


def test_a_time_that_cannot_be_read_is_no_reason_to_remove() -> None:
    assert kept(Keep(last=1), facts("", "2026-02-01T10:00:00Z", "2026-02-02T10:00:00Z")) == {1, 3}
