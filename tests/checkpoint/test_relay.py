"""Lanes work at once, and put down in the order of taking; the first error ends all."""

import random
import threading
import time

import pytest

from pyxl.checkpoint.relay import Relay


class Work:
    """Numbers up to ``count``, of which ``bad`` fails at the step ``where``."""

    def __init__(self, count: int, bad: int = -1, where: str = "") -> None:
        self.count, self.bad, self.where = count, bad, where
        self.taken = 0
        self.done: list[int] = []
        self.working = 0
        self.most = 0
        self.lock = threading.Lock()
        self.begun = threading.Event()

    def lanes(self, count: int) -> list["Lane"]:
        return [Lane(self) for _ in range(count)]


class Lane:
    def __init__(self, work: Work) -> None:
        self._all = work

    def _meet(self, where: str) -> None:
        if (self._number, where) == (self._all.bad, self._all.where):
            raise OSError(28, f"No space left at {where}")

    def take(self) -> bool:
        self._number = self._all.taken
        self._all.taken += 1
        self._meet("take")
        return self._number < self._all.count

    def work(self) -> None:
        with self._all.lock:
            self._all.working += 1
            self._all.most = max(self._all.most, self._all.working)
        time.sleep(random.random() / 1000)  # so that lanes end in another order than they began
        with self._all.lock:
            self._all.working -= 1
        self._meet("work")

    def put(self) -> None:
        self._meet("put")
        self._all.done.append(self._number)
        self._all.begun.set()


@pytest.mark.parametrize(("lanes", "at_once"), [(1, 1), (2, 2), (6, 4)])
def test_all_is_put_down_in_order(lanes: int, at_once: int) -> None:
    work = Work(200)
    relay = Relay(work.lanes(lanes), at_once)
    relay.start()
    relay.wait()
    relay.check()
    assert (work.done, relay.running) == (list(range(200)), False)
    assert work.most <= at_once


@pytest.mark.parametrize("where", ["take", "work", "put"])
def test_the_first_error_ends_all_and_what_came_before_is_put_down(where: str) -> None:
    work = Work(10_000, 50, where)
    told = threading.Event()
    relay = Relay(work.lanes(4), 3, told.set)
    relay.start()
    relay.wait()
    assert told.is_set()
    with pytest.raises(OSError, match=f"at {where}"):
        relay.check()
    assert work.done == list(range(len(work.done)))
    assert len(work.done) == 50 or where == "take"


def test_what_is_stopped_ends_soon() -> None:
    work = Work(10_000_000)
    relay = Relay(work.lanes(4), 3)
    relay.start()
    assert work.begun.wait(10)
    relay.stop()
    relay.wait()
    relay.check()
    assert work.done == list(range(len(work.done)))


def test_what_never_began_has_ended() -> None:
    relay = Relay(Work(1).lanes(2), 2)
    relay.wait()
    assert not relay.running
