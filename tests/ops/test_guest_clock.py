"""How far the clock of a guest that comes back is behind."""

import time

import pytest

from pyxl.ops import guest_clock
from tests.fakes.host import FakeStore, FakeXen

DOMID = 7


@pytest.mark.parametrize(("callback", "type_", "kept_by"), [(0, "hvm", "own"), (1, "hvm", "xen"), (0, "pvh", "xen")])
def test_xen_keeps_the_clock_of_a_guest_with_its_drivers(callback: int, type_: str, kept_by: str) -> None:
    xen = FakeXen([])
    xen.params[0] = callback
    assert guest_clock.kept_by(xen, FakeStore({f"/libxl/{DOMID}/type": type_}), DOMID) == kept_by


def test_for_how_long_it_was_away() -> None:
    assert guest_clock.away(None) is None
    assert guest_clock.away(time.time() + 3600) == 0  # the host's clock was put back
    found = guest_clock.away(time.time() - 90)
    assert found is not None and 90 <= found < 150


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (1, ""), (2, "2 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_words(seconds: int | None, words: str) -> None:
    assert guest_clock.words(seconds, "own") == (words and f"its clock is {words} behind")
    assert guest_clock.words(seconds, "") == (words and f"its clock may be {words} behind")
    assert guest_clock.words(seconds, "xen") == ""


def test_the_guest_is_told_when_it_came_back() -> None:
    store = FakeStore({})
    guest_clock.tell_guest(store, DOMID)
    assert 0 <= time.time() - int(store.nodes["/local/domain/7/data/restored-at"]) < 60
