"""What each checkpoint of a repository takes: alone, and together with others."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyxl.repository.manifest import Facts
from pyxl.repository.repository import Listed


class Share(NamedTuple):
    """A checkpoint, why it is not whole (empty if it is), and bytes.

    ``own`` would be free without it: its manifest, and packs that no other checkpoint needs; ``shared`` are the others.
    """

    facts: Facts
    problem: str
    own: int
    shared: int


def shares(found: Iterable[Listed]) -> Iterator[Share]:
    """Yield the shares of all checkpoints of a repository, in their order."""
    found = list(found)
    users = Counter(name for each in found for name in {pack.name for pack in each.packs})
    for each in found:
        own = sum(pack.size for pack in each.packs if users[pack.name] == 1)
        shared = sum(pack.size for pack in each.packs) - own
        yield Share(each.facts, each.problem, each.size + own, shared)


def stored(found: Iterable[Listed]) -> int:
    """Return what checkpoints take together: their manifests, and each of their packs once."""
    found = list(found)
    return sum(each.size for each in found) + sum(dict(pack for each in found for pack in each.packs).values())
