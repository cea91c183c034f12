"""Which checkpoints are kept: the newest of each hour, day, week, month and year, as restic and borg do it.

Knows what manifests say of themselves; does not know files.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from pyxl.errors import UsageError
from pyxl.repository.manifest import Facts

_EXAMPLE = "An example: last=6,hourly=24,daily=7,weekly=4,monthly=12,yearly=3"


class Keep(NamedTuple):
    """How many checkpoints of each guest are kept: the last ones, and the newest of so many hours, days, ….

    A rule does not see what another one keeps.  Hours, days, … without a checkpoint do not count.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


#: What the checkpoints of one period have in common, in local time; an hour that the clock repeats is two.
_PERIODS: dict[str, Callable[[datetime], object]] = {
    "hourly": lambda when: (when.date(), when.hour, when.utcoffset()),
    "daily": lambda when: when.date(),
    "weekly": lambda when: when.isocalendar()[:2],
    "monthly": lambda when: (when.year, when.month),
    "yearly": lambda when: when.year,
}


def parse(text: str) -> Keep:
    """Return the rules of a text as `last=6,hourly=24,daily=7`.

    :raise UsageError: it is none, or keeps nothing.
    """
    counts: dict[str, int] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in Keep._fields:
            raise UsageError(f"{word!r} keeps nothing: a rule is one of {', '.join(Keep._fields)}", _EXAMPLE)
        if not (value.isascii() and value.isdigit()):
            raise UsageError(f"{word!r} has no number of checkpoints", _EXAMPLE)
        if name in counts:
            raise UsageError(f"{name} is there twice", _EXAMPLE)
        counts[name] = int(value)
    if not any(counts.values()):
        raise UsageError(f"{text!r} keeps no checkpoint", _EXAMPLE)
    return Keep(**counts)


def kept(keep: Keep, facts: Iterable[Facts]) -> set[int]:
    """Return the numbers of checkpoints that are kept, each guest's newest among them, whatever the rules say.

    One that does not say when it was saved is kept, too.
    """
    found = set()
    for _, group in groupby(sorted(facts, key=lambda each: (each.uuid, -each.number)), key=lambda each: each.uuid):
        newest_first = list(group)
        found |= {each.number for each in newest_first[: max(keep.last, 1)]}
        times = {each.number: _local(each.saved) for each in newest_first}
        found |= {number for number, when in times.items() if when is None}
        for name, period in _PERIODS.items():
            newest: dict[object, int] = {}
            for number, when in times.items():
                if when is not None:
                    newest.setdefault(period(when), number)
            found |= set(list(newest.values())[: getattr(keep, name)])
    return found


def _local(saved: str) -> datetime | None:
    try:
        return datetime.fromisoformat(saved).astimezone()
    except (ValueError, OverflowError):
        return None
