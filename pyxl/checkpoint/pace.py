"""Which zstd level keeps pace: the compressor is never what a suspended guest waits for."""

#: From the fastest to the smallest; more than the last gains little and costs much.
LEVELS = (-5, -4, -3, -2, -1, 1, 2, 3)
#: A share of the time in which the disk, or who writes the content, was waited for; from there on it is the slowest.
_DISK_SHARE = 0.8
_SOURCE_SHARE = 0.5


def next_level(level: int, elapsed: float, disk: float, source: float) -> int:
    """Return the level to go on with, after ``elapsed`` seconds at ``level``.

    For ``disk`` seconds of them the disk was waited for, for ``source`` seconds the content, both at most one at a
    time.
    """
    at = LEVELS.index(level)
    if disk >= _DISK_SHARE * elapsed:
        return LEVELS[min(at + 1, len(LEVELS) - 1)]
    if source < _SOURCE_SHARE * elapsed:
        return LEVELS[max(at - 1, 0)]
    return level
