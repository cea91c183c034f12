"""What differs between two trees of JSON, such as the configs of two guests."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Member(NamedTuple):
    """A member of a record or config, by its path; None where one has none."""

    name: str
    a: Any
    b: Any


def members(a: Any, b: Any, path: str = "") -> Iterator[Member]:
    """Yield each member that differs between two trees of JSON; ``path`` is theirs."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(name for name in b if name not in a)]:
            yield from members(a.get(name), b.get(name), f"{path}.{name}" if path else name)
    elif isinstance(a, list) and isinstance(b, list) and any(isinstance(each, dict) for each in (*a, *b)):
        yield from members(dict(enumerate(a)), dict(enumerate(b)), path)
    elif a != b:
        yield Member(path, a, b)
