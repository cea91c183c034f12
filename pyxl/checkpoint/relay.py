"""Work in several threads on pieces that are taken, and put down, one at a time and in their order."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Condition, Lock, Semaphore
from typing import Protocol

from pyxl.checkpoint.worker import Worker

#: More are no use: by then a disk or the other end of a pipe is what is waited for.
MOST_THREADS = 4


def threads() -> int:
    """Return how many threads a relay has unless its user says otherwise: one for each CPU, up to a few."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


class Lane(Protocol):
    """One thread's part of the work, with buffers of its own."""

    def take(self) -> bool:
        """Take the next piece and return whether there is one; one lane at a time."""

    def work(self) -> None:
        """Work on the piece, while other lanes work on theirs."""

    def put(self) -> None:
        """Put the piece down: one lane at a time, in the order of taking."""


class Relay:
    """Runs lanes, each in a thread, of which ``at_once`` work while the others take, put or wait for their turn.

    The first error of a lane stops all: it is noted, and then ``failed`` is called.  The owner's thread, which signals
    interrupt, never holds a lock of the lanes.
    """

    def __init__(self, lanes: Sequence[Lane], at_once: int, failed: Callable[[], object] = lambda: None) -> None:
        self._failed = failed
        self._taking = Lock()
        self._turn = Condition()
        self._working = Semaphore(at_once)
        self._taken = 0
        self._put = 0
        self._ended = False
        self._stopped = False
        self._workers = [Worker(partial(self._run, lane), self._fail) for lane in lanes]

    @property
    def running(self) -> bool:
        return any(worker.running for worker in self._workers)

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Have each lane end after what it is doing now."""
        self._stopped = True

    def check(self) -> None:
        """Raise the error that has ended the work, if one has."""
        for worker in self._workers:
            worker.check()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all is put down, for ever by default."""
        end = None if seconds is None else time.monotonic() + seconds
        for worker in self._workers:
            worker.wait(None if end is None else max(end - time.monotonic(), 0))

    def _run(self, lane: Lane) -> None:
        while True:
            with self._taking:
                if self._stopped or self._ended or not lane.take():
                    self._ended = True
                    return
                number = self._taken
                self._taken += 1
            error = None
            try:
                with self._working:
                    lane.work()
            except Exception as met:  # what was taken before is put down first
                error = met
            with self._turn:
                while self._put != number and not self._stopped:
                    self._turn.wait()
                try:
                    if self._stopped:
                        return
                    if error is not None:
                        raise error
                    lane.put()
                    self._put += 1
                finally:
                    self._turn.notify_all()

    def _fail(self) -> None:
        self._stopped = True
        with self._turn:
            self._turn.notify_all()
        self._failed()
