"""When the rounds of a live save are over: before another one would no longer make the guest's freeze shorter.

Imports nothing: the save-helper starts through here.
"""

#: What is left after a round, as a share of what it sent, from which on the guest writes as fast as it is saved.
_NO_GAIN = 0.8

SHORT, NO_GAIN, MOST_ROUNDS = "short", "no gain", "most rounds"


class Policy:
    """``downtime`` is how long what is left may take to send, in seconds; there are at most ``rounds`` rounds."""

    def __init__(self, downtime: float, rounds: int) -> None:
        self._downtime = downtime
        self._rounds = rounds
        self._done = 0

    def why_stop(self, sent: int, seconds: float, left: int) -> str:
        """Return why a round that sent so many pages in so many seconds, and after which some are left, is the last.

        Empty: another one is worth it.
        """
        self._done += 1
        if left * seconds <= self._downtime * sent:
            return SHORT
        if self._done > 1 and left >= _NO_GAIN * sent:
            return NO_GAIN
        return MOST_ROUNDS if self._done >= self._rounds else ""
