"""A long blocking call in a thread of its own, so that its owner can handle signals; the owner gets its error."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from pyxl.interrupt import held

T = TypeVar("T")


class Flag:
    """A threading.Event for one thread that waits, which a signal may interrupt anywhere.

    An Event's lock is written in Python and may then stay taken for ever; a SimpleQueue's is the interpreter's own.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._token: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._token.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, for ever by default, and return whether it is."""
        if not self._is_set:
            with suppress(Empty):
                self._token.get(timeout=seconds)
        return self._is_set


class Worker(Generic[T]):
    """A thread that runs ``work``; if that fails, it first notes the error and then calls ``failed``.

    It never keeps the process from ending.
    """

    def __init__(self, work: Callable[[], T], failed: Callable[[], object] = lambda: None) -> None:
        self._work = work
        self._failed = failed
        self._found: list[T] = []
        self._error: Exception | None = None
        self._begun = False
        # Not the thread's own is_alive: a join that a signal interrupts takes the thread for ended (Python 3.11).
        self._ended = Flag()

    @property
    def running(self) -> bool:
        return self._begun and not self._ended.is_set()

    def start(self) -> None:
        with held():  # between the two, a signal would leave a thread to wait for that never was
            self._begun = True
            threading.Thread(target=self._run, daemon=True).start()

    def check(self) -> None:
        """Raise the error that has ended the work, if one has."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of the work, for ever by default; one that never began has ended."""
        if self._begun:
            self._ended.wait(seconds)

    def result(self, tick: Callable[[], None] = lambda: None, interval: float | None = None) -> T:
        """Wait for the end of the work and return what it returned, or raise its error.

        ``tick`` is called about every ``interval`` seconds meanwhile, not at all when that is None.
        """
        while self.running:
            self.wait(interval)
            if self.running:
                tick()
        self.check()
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except Exception as error:
            self._error = error
            self._failed()
        finally:
            self._ended.set()
