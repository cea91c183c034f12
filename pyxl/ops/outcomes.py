"""What became of each guest of a host that sleeps or wakes."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pyxl.ops.children import INTERRUPTED

SAVED, SHUT_DOWN, LEFT = "saved", "shut down", "left as it is"
RESTORED, STARTED, SKIPPED, FAILED = "restored", "started", "skipped", "not restored"
#: Those that are no failure.
GOOD = (SAVED, SHUT_DOWN, RESTORED, STARTED, SKIPPED)


class Outcome(NamedTuple):
    """What became of one guest and why; ``domid`` is 0 where it has none, sizes in bytes, ``seconds`` that it took."""

    name: str
    uuid: str
    domid: int
    outcome: str
    why: str = ""
    file: str = ""
    size: int = 0
    stored: int = 0
    seconds: float = 0.0


class Tally:
    """All outcomes; ``stopped`` is why not all were tried, "" where they were."""

    def __init__(self, directory: Path, told: Callable[[Outcome], None]) -> None:
        self.directory = directory
        self.outcomes: list[Outcome] = []
        self.stopped = ""
        self.seconds = 0.0
        self._told = told

    def __contains__(self, uuid: str) -> bool:
        return any(each.uuid == uuid for each in self.outcomes)

    def add(self, outcome: Outcome) -> None:
        """Take note of an outcome, and tell it."""
        self.outcomes.append(outcome)
        self._told(outcome)

    @property
    def interrupted(self) -> bool:
        """Whether somebody has asked for the end."""
        return self.stopped == INTERRUPTED

    @property
    def failed(self) -> bool:
        """Whether one of them failed."""
        return any(each.outcome not in GOOD for each in self.outcomes)


def placed(name: str, order: tuple[str, ...]) -> int:
    """Return the place of a guest among those that are named; all others come behind them."""
    return order.index(name) if name in order else len(order)
