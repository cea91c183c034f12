"""A thread that works beside the save-helper, and whose error is its owner's."""

import threading
from collections.abc import Callable


class Worker:
    """A thread that runs ``work``; where that fails, the error is noted first and ``failed`` called then.

    It never keeps the process from ending.
    """

    def __init__(self, work: Callable[[], None], failed: Callable[[], None] = lambda: None) -> None:
        self._work = work
        self._failed = failed
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raise the error that has ended the work, if one has."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of the work, for ever by default; one that never began has ended."""
        if self.running:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._error = error
            self._failed()
