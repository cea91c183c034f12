"""A year of a repository in simulation: one guest, a checkpoint every two hours, a prune every day.

    python -m tests.repository.year [--steps 4000] [--chart pyxl/repository/year.svg]

What is kept and which packs are written anew is decided by what pyxl itself runs; pages are numbers without content.
All live pages that were written at one checkpoint lie in one pack, whichever that is by now: so counts of them suffice.
"""

import argparse
import os
import random
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pyxl.memory import places
from pyxl.memory.places import CHUNK, RUN, SLOTS
from pyxl.repository import manifest, retention, victims
from pyxl.repository.layout import Layout
from pyxl.repository.manifest import Facts, Manifest, PackRef
from tests.repository.year_chart import draw

GUEST_PAGES = 4 << 30 >> 12
CHANGES = GUEST_PAGES // 100
#: What a page takes in a pack: half of it, and its hash.
STORED = 2048 + 8
EVERY_SECONDS, PER_DAY = 7200, 12
START = 1767225600  # 2026-01-01
KEEP = retention.parse("last=12,daily=14,weekly=8,monthly=12")
#: A guest writes to pages that lie together, at most so many, and to regions; a share of writes goes to hot ones, of
#: which there is a share, and some of which are others each week.
STRETCH, REGION = 12, 64
HOT_WRITES, HOT_REGIONS, OTHER_EACH_WEEK = 0.5, 0.04, 0.1


class Day(NamedTuple):
    """What there is after a prune, and what was written until then, in bytes; ``before`` is the dead share before it.

    ``runs``, ``plan`` and ``manifest`` are of the newest checkpoint: its runs, the seconds that planning its restore
    takes, and its size; None where they were not looked at.
    """

    day: int
    size: int
    live: int
    objects: int
    before: float
    dead: float
    saved: int
    rewritten: int
    runs: int | None = None
    plan: float | None = None
    manifest: int | None = None


class Guest:
    """Which pages change: stretches of them, many in hot regions."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._regions = range(0, GUEST_PAGES, REGION)
        self._hot = self._chance.sample(self._regions, int(HOT_REGIONS * len(self._regions)))

    def drift(self) -> None:
        """Let other regions be hot."""
        for at in self._chance.sample(range(len(self._hot)), int(OTHER_EACH_WEEK * len(self._hot))):
            self._hot[at] = self._chance.choice(self._regions)

    def changes(self) -> list[tuple[int, int]]:
        """Return stretches of pages (first, end) that have changed, in the order of the guest."""
        found: dict[int, int] = {}
        chance, left = self._chance.random, CHANGES
        while left > 0:
            region = self._hot[int(chance() * len(self._hot))] if chance() < HOT_WRITES else self._regions[int(chance() * len(self._regions))]
            first = region + int(chance() * (REGION - STRETCH))
            end = first + 1 + int(chance() * STRETCH)
            left -= max(end - max(first, found.get(first, 0)), 0)
            found[first] = max(end, found.get(first, 0))
        return list(_merged(sorted(found.items())))


def _merged(stretches: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first, end = stretches[0]
    for next_first, next_end in stretches[1:]:
        if next_first > end:
            yield first, end
            first = next_first
        end = max(end, next_end)
    yield first, end


class Year:
    """The repository: which checkpoints there are, when each page of the guest was last written, and packs.

    A page that was written at a checkpoint and then again is held by the newest one in between that is there, and dies
    with the last of these.
    """

    def __init__(self) -> None:
        self.there: list[Facts] = []
        self._written = array("H", bytes(2 * GUEST_PAGES))  # the number of the checkpoint
        self._at = array("I", range(GUEST_PAGES))  # which of its pages
        self._numbers = array("I", range(GUEST_PAGES))
        self._held: dict[int, Counter[int]] = {}  # by each checkpoint, pages of each
        self._live: Counter[int] = Counter()
        self._packs: dict[int, tuple[int, list[int]]] = {}  # pages, and the checkpoints at which they were written
        self._next_pack = 0
        self.saved = self.rewritten = 0

    def checkpoint(self, number: int, changes: list[tuple[int, int]]) -> None:
        """Add a checkpoint, before which these pages were written to."""
        pages = [page for first, end in changes for page in range(first, end)]
        if self.there:
            self._held[self.there[-1].number] = Counter(itemgetter(*pages)(self._written))
        at = 0
        for first, end in changes:
            self._written[first:end] = array("H", [number]) * (end - first)
            self._at[first:end] = self._numbers[at : at + end - first]
            at += end - first
        self._live[number] = at
        self._add_pack(at, [number])
        self.saved += at * STORED
        saved = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + number * EVERY_SECONDS))
        self.there.append(Facts(number, "uuid", "web1", saved, "", "", "", 0, 0, 0, 0, "", 0.0))

    def prune(self) -> tuple[float, float]:
        """Remove what is not kept; return which share of the bytes of packs was dead then, and is now."""
        stay = retention.kept(KEEP, self.there)
        for facts in [each for each in self.there if each.number not in stay]:
            self._remove(facts)
        uses = self.uses()
        for pack in [pack for pack, use in uses.items() if not use.live]:
            del uses[pack], self._packs[pack]
        before = victims.dead_share(uses)
        chosen = victims.victims(uses)
        if chosen:
            births = [birth for pack in chosen for birth in self._packs.pop(pack)[1] if self._live[birth]]
            pages = sum(self._live[birth] for birth in births)
            self._add_pack(pages, births)
            self.rewritten += pages * STORED
        return before, victims.dead_share(self.uses())

    def uses(self) -> dict[int, victims.Use]:
        """Return what is needed of each pack."""
        return {
            pack: victims.Use(pages * STORED, pages, sum(self._live[birth] for birth in births))
            for pack, (pages, births) in self._packs.items()
        }

    def newest(self) -> Manifest:
        """Return the manifest of the newest checkpoint; frames lie as they were written."""
        packs = {birth: pack for pack, (_, births) in self._packs.items() for birth in births}
        numbers = {pack: number for number, pack in enumerate(sorted(set(packs.values())), 1)}
        bases: dict[int, int] = {}
        for pack, (_, births) in self._packs.items():
            frame = 0
            for birth in births:
                bases[birth] = places.place(numbers[pack], frame)
                frame += -(-self._live[birth] // SLOTS) + 1
        runs = bytearray()
        first, birth, at = 0, self._written[0], self._at[0]
        for gfn, (now, where) in enumerate(zip(self._written, self._at, strict=True)):
            if now != birth or where != at + gfn - first or not where % SLOTS or not gfn % CHUNK:
                if gfn:
                    runs += RUN.pack(first, gfn - first, bases[birth] + places.place(0, at // SLOTS, at % SLOTS))
                first, birth, at = gfn, now, where
        runs += RUN.pack(first, GUEST_PAGES - first, bases[birth] + places.place(0, at // SLOTS, at % SLOTS))
        refs = tuple(PackRef(f"{pack:08}.pack", self._packs[pack][0] * STORED) for pack in numbers)
        return Manifest(self.there[-1], refs, b"", b"", bytes(runs))

    @property
    def objects(self) -> int:
        return len(self.there) + len(self._packs)

    def _add_pack(self, pages: int, births: list[int]) -> None:
        self._packs[self._next_pack] = pages, births
        self._next_pack += 1

    def _remove(self, facts: Facts) -> None:
        at = self.there.index(facts)
        before = self.there[at - 1].number if at else -1
        del self.there[at]
        for birth, pages in self._held.pop(facts.number).items():
            if birth <= before:
                self._held[before][birth] += pages
            else:
                self._live[birth] -= pages


def simulated(steps: int, samples: int) -> Iterator[Day]:
    """Yield each day of a year of so many checkpoints; look at about so many manifests."""
    year, guest = Year(), Guest(17)
    days = steps // PER_DAY
    size_of_manifest = 0
    for number in range(days * PER_DAY):
        year.checkpoint(number, guest.changes() if number else [(0, GUEST_PAGES)])
        if (number + 1) % (7 * PER_DAY) == 0:
            guest.drift()
        if (number + 1) % PER_DAY:
            continue
        before, dead = year.prune()
        day = (number + 1) // PER_DAY
        looked: tuple[int, float, int] | tuple[()] = ()
        if day % max(days // samples, 1) == 0 or day in (1, days):
            looked = _look(year.newest())
            size_of_manifest = looked[2]
        uses = year.uses().values()
        stored = sum(use.stored for use in uses)
        size = stored + size_of_manifest * len(year.there)
        live = stored - sum(use.dead for use in uses)
        yield Day(day, size, live, year.objects, before, dead, year.saved, year.rewritten, *looked)


def _look(newest: Manifest) -> tuple[int, float, int]:
    """Return its runs, how long the plan of its restore takes, in seconds, and its size in bytes."""
    data = manifest.encode(newest)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        Layout(manifest.parse(data)).plan()
        seconds.append(time.perf_counter() - start)
    return len(newest.runs) // RUN.size, min(seconds), len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=28, help="manifests to look at")
    parser.add_argument("--chart", type=Path)
    arguments = parser.parse_args()
    os.environ["TZ"] = "UTC"
    time.tzset()
    days = []
    print("day  size GiB  live GiB  objects  dead before, after  saved GiB  rewritten GiB    runs  plan ms  manifest KiB")
    for day in simulated(arguments.steps, arguments.samples):
        days.append(day)
        if day.runs is not None and day.plan is not None and day.manifest is not None:
            print(
                f"{day.day:3} {day.size / 2**30:9.2f} {day.live / 2**30:9.2f} {day.objects:8} {day.before:12.1%} {day.dead:6.1%} "
                f"{day.saved / 2**30:10.1f} {day.rewritten / 2**30:14.1f} {day.runs:7} {1000 * day.plan:8.0f} {day.manifest >> 10:13}",
                flush=True,
            )
    if arguments.chart:
        arguments.chart.write_text(draw(days))


if __name__ == "__main__":
    main()
