"""Which packs are written anew, so that not too much of a repository is dead: pages that no checkpoint needs.

Knows counts; does not know files.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

#: What may be dead of the bytes of all packs.
DEAD_SHARE = 0.2

Name = TypeVar("Name")


class Use(NamedTuple):
    """What a pack takes, in bytes, how many pages it has, and how many of them a checkpoint needs."""

    stored: int
    pages: int
    live: int

    @property
    def dead(self) -> int:
        """Return how many bytes are dead, taking pages for equal."""
        return self.stored * (self.pages - self.live) // self.pages if self.pages else 0


def dead_share(packs: Mapping[Name, Use]) -> float:
    """Return which share of the bytes of packs is dead."""
    size = sum(use.stored for use in packs.values())
    return sum(use.dead for use in packs.values()) / size if size else 0.0


def victims(packs: Mapping[Name, Use]) -> list[Name]:
    """Return the packs whose live pages are to be written anew; first that which frees most for each byte written."""
    size = sum(use.stored for use in packs.values())
    dead = sum(use.dead for use in packs.values())
    chosen: list[Name] = []
    for name, use in sorted(packs.items(), key=lambda item: item[1].live / max(item[1].pages, 1)):
        if dead <= DEAD_SHARE * size:
            break
        if use.dead:
            chosen.append(name)
            size -= use.dead
            dead -= use.dead
    return chosen
