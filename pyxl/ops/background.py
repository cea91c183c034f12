"""A call that blocks for long, made in a thread, so that this one stays free for signals and progress."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(threading.Thread, Generic[T]):
    """``call`` runs from ``start`` on; a process does not wait for it at its end."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:
            self._error = error

    def result(self, tick: Callable[[], None] = lambda: None, interval: float | None = None) -> T:
        """Wait for the call to end and return its result or raise its error.

        ``tick`` is called about every ``interval`` seconds meanwhile, not at all when that is None.
        """
        while self.is_alive():
            self.join(interval)
            if self.is_alive():
                tick()
        if self._error is not None:
            raise self._error
        return self._result[0]
