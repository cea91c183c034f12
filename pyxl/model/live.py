"""A save of a guest that runs meanwhile: how far it goes, and what its rounds were."""

from typing import NamedTuple

#: The word for it to the save-helper, and where its messages of progress are about rounds.
LIVE = "live"
#: Behind LIVE: the guest is to go on as soon as all that is left of it was copied.
GOES_ON = "goes-on"
#: Milliseconds that may be left to copy when the guest is suspended, and the most rounds: pyxl/memory/README.md.
DOWNTIME_MS = 300
ROUNDS = 8

#: Why there was no more round, as the save-helper says it, for people.
WHY = {
    "short": "",
    "no gain": "it wrote as fast as it was saved",
    "most rounds": "it still wrote after the last round",
    "its memory changed in size": "its memory changed in size",
}


class Live(NamedTuple):
    """Rounds end when what is left can be sent in ``downtime_ms``, or after ``rounds`` of them."""

    downtime_ms: int = DOWNTIME_MS
    rounds: int = ROUNDS

    @property
    def words(self) -> str:
        return f"{LIVE} downtime={self.downtime_ms} rounds={self.rounds}"


class Round(NamedTuple):
    """What one round sent; ``why_last`` is empty but for the last one, of the suspended guest."""

    pages: int
    seconds: float
    why_last: str
