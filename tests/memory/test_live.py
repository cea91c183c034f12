"""The stream of a guest that runs meanwhile, on a fake guest that writes to its memory between and within rounds."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import XenError
from pyxl.memory import live
from pyxl.memory.batches import FRAMES, batches_of
from pyxl.memory.live import GREW, save_live
from pyxl.memory.policy import MOST_ROUNDS, NO_GAIN, SHORT, Policy
from pyxl.memory.save import NotSuspended
from pyxl.memory.sinks import PlainSink
from pyxl.model.live import GOES_ON, LIVE, WHY, Live
from pyxl_save_helper import live as helper
from tests.fakes.guest import PAGE, FakeGuest
from tests.memory.test_engine import SEED, guest, restored

FRONT = b"in front"
Writes = Callable[["Running"], None]


class Running(FakeGuest):
    """Writes to its pages as ``rounds`` say, each before a round's end; stands for DirtyLog and live.Guest, too."""

    def __init__(self, pages: dict[int, bytes], *rounds: Writes) -> None:
        super().__init__(pages)
        self._rounds = list(rounds)
        self._written: set[int] = set()
        self.is_logged = self.runs_again = False
        self.told_of: list[tuple[int, str]] = []
        self.suspends = True

    def write(self, gfn: int) -> None:
        self.pages[gfn][:] = random.Random(f"{gfn}{len(self.told_of)}").randbytes(PAGE)
        assert not self.frozen, "a suspended guest does not write"
        self._written.add(gfn)

    frozen = False

    # DirtyLog
    def __enter__(self) -> "Running":
        self.is_logged = True
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def off(self) -> None:
        self.is_logged = False

    def take(self) -> int:
        assert self.is_logged
        if not self.frozen and self._rounds:
            self._rounds.pop(0)(self)
        written, self._written = self._written, set()
        return sum(1 << gfn for gfn in written)

    # live.Guest
    def told(self, pages: int, seconds: float, why_last: str) -> None:
        assert seconds >= 0
        self.told_of.append((pages, why_last))

    def suspend(self) -> bool:
        self.frozen = self.suspends
        return self.suspends

    def goes_on(self) -> None:
        """From here on whatever it writes must not be in the stream."""
        self.at_freeze = {gfn: bytes(page) for gfn, page in self.pages.items()}
        self.frozen, self.runs_again = False, True
        for gfn in list(self.pages)[:64]:
            self.write(gfn)


def writes(*gfns: int) -> Writes:
    def write(guest: Running) -> None:
        for gfn in gfns:
            guest.write(gfn)

    return write


def new(*rounds: Writes) -> Running:
    return Running({gfn: bytes(page) for gfn, page in guest().pages.items()}, *rounds)


class Rounds(Policy):
    """So many rounds, whatever the guest writes and however fast this machine is."""

    def __init__(self, rounds: int) -> None:
        super().__init__(0, rounds)

    def why_stop(self, sent: int, seconds: float, left: int) -> str:
        return super().why_stop(1 << 30, seconds, left or 1)


def saved(source: Any, fd: int, rounds: int, *, goes_on: bool = True) -> None:
    os.write(fd, FRONT)
    sink = PlainSink(fd, sparse=True)
    save_live(source, source, source, sink, (4, 17), 3, Rounds(rounds), source, goes_on=goes_on)
    assert not source.mapped
    assert not source.is_logged
    os.lseek(fd, len(FRONT), os.SEEK_SET)


def same(source: Running, fd: int) -> None:
    after = FakeGuest()
    restored(fd, after)
    wanted = source.at_freeze if source.runs_again else source.pages
    rings = {0x2FFC, 0x2FFF}
    assert after.pages.keys() == wanted.keys()
    assert not [gfn for gfn in wanted if gfn not in rings and after.pages[gfn] != wanted[gfn]]


@pytest.fixture
def file(tmp_path: Path) -> int:
    return os.open(tmp_path / "stream", os.O_RDWR | os.O_CREAT)


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_is_restored_is_the_guest_at_its_freeze(file: int, goes_on: bool) -> None:
    source = new(writes(3, 5, 700, 0x2FF1), writes(5, 6), writes(6, *range(900, 1200)))
    saved(source, file, 3, goes_on=goes_on)
    assert source.told_of == [(len(source.pages), ""), (4, ""), (2, ""), (301, MOST_ROUNDS)]
    assert source.runs_again == goes_on
    same(source, file)


def test_more_than_may_be_held_is_written_before_the_guest_goes_on(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HELD_BYTES", 1)
    source = new(writes(*range(0xC0, 0xC0 + 1300)))
    saved(source, file, 1)
    same(source, file)


def test_a_page_that_the_guest_gives_back_meanwhile_is_left_to_a_later_round(file: int) -> None:
    class Ballooning(Running):
        def map(self, gfns: bytes, access: int) -> int:
            if len(self.told_of) == 0 and 600 in memoryview(gfns).cast("Q"):
                raise XenError("xenforeignmemory_map", 22, 7, "gfn 0x258")
            return super().map(gfns, access)

    source = Ballooning({gfn: bytes(page) for gfn, page in guest().pages.items()})
    saved(source, file, 2)
    assert [pages for pages, _ in source.told_of] == [len(source.pages) - 988, 988, 0]
    same(source, file)


def test_a_guest_that_grew_is_saved_as_a_whole_once_more(file: int) -> None:
    def grow(guest: Running) -> None:
        guest.pages[0x2000] = bytearray(b"g" * PAGE)

    source = new(grow)
    saved(source, file, 1)
    assert source.told_of[-1] == (len(source.pages), GREW)
    same(source, file)


def test_a_guest_that_is_not_suspended_goes_on_unlogged(file: int) -> None:
    source = new()
    source.suspends = False
    with pytest.raises(NotSuspended):
        saved(source, file, 1)
    assert not source.is_logged


def test_a_full_disk_ends_it_and_the_log(file: int) -> None:
    source: Any = new()
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        save_live(
            source, source, source, PlainSink(full.fileno(), sparse=False), (4, 17), 3, Rounds(1), source, goes_on=True
        )
    assert not source.is_logged


def test_frames_of_a_bitmap_are_batched_wherever_they_are() -> None:
    chance = random.Random(SEED)
    source: Any = guest()
    for share in (0.001, 0.3, 1):
        wanted = [gfn for gfn in range(0x3100) if chance.random() < share]
        found = list(batches_of(source, sum(1 << gfn for gfn in wanted)))
        gfns = [gfn for batch in found for gfn in memoryview(batch.gfns).cast("Q")]
        assert gfns == [gfn for gfn in wanted if gfn in source.pages]
        assert all(len(batch.words) <= 8 * FRAMES for batch in found)
        assert len(found) <= len(wanted) // FRAMES + 1
    assert list(batches_of(source, 0)) == []


def test_rounds_end_when_another_would_not_make_the_freeze_shorter() -> None:
    assert Policy(0.3, 8).why_stop(100_000, 2.0, 14_000) == SHORT
    steady = Policy(0.3, 8)
    assert [steady.why_stop(*each) for each in ((100_000, 2.0, 30_000), (30_000, 0.6, 29_000))] == ["", NO_GAIN]
    falling = Policy(0.001, 3)
    assert [falling.why_stop(sent, 1.0, sent // 2) for sent in (4000, 2000, 1000)] == ["", "", MOST_ROUNDS]
    assert Policy(0.3, 8).why_stop(0, 0.0, 0) == SHORT


def test_the_helper_and_who_starts_it_use_the_same_words() -> None:
    """The helper imports nothing that imports typing, so they stand on both sides."""
    assert {SHORT, NO_GAIN, MOST_ROUNDS, GREW} == WHY.keys()
    assert (helper.LIVE, helper.GOES_ON) == (LIVE, GOES_ON)
    wanted = helper.policy(Live(250, 7).words.split())
    assert vars(wanted) == vars(Policy(0.25, 7))
