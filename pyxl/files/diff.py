"""What differs between two checkpoints: pages of the guest, records of the streams, members of the config."""

from collections import defaultdict
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

from pyxl.checkpoint.pages import PageIndex, Run, fill
from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError
from pyxl.files.guest_memory import AT_ONCE
from pyxl.files.inspect import Inspection, Record, inspect
from pyxl.files.memory_map import Canvas, MemoryMap
from pyxl.files.opened import opened
from pyxl.formats.members import Member, members
from pyxl.formats.stream.libxc_records import PAGE_SIZE

SAME, CHANGED, ONLY_A, ONLY_B = "same", "changed", "only_a", "only_b"
#: Ranges of pages that are listed; more are only counted.
MAX_RANGES = 10_000
#: The kinds that a picture shows, and which of them each kind of page is.
_KINDS = ("changed", "same", "only in one")
_PAINT = {CHANGED: 0, SAME: 1, ONLY_A: 2, ONLY_B: 2}


class Range(NamedTuple):
    """Pages that follow one another and differ in the same way: ``kind`` is CHANGED, ONLY_A or ONLY_B."""

    kind: str
    gfn: int
    pages: int


class RecordDifference(NamedTuple):
    """A record whose bodies, ``a`` and ``b`` bytes long, differ; None if one is missing.

    ``number`` counts records of its name from 0; ``members`` are those that differ, none if the body is opaque.
    """

    layer: str
    name: str
    number: int
    a: int | None
    b: int | None
    members: list[Member]


class Difference(NamedTuple):
    """All that differs; ``pages`` counts them by kind, ``picture`` is None unless asked for."""

    pages: dict[str, int]
    ranges: list[Range]
    ranges_left_out: int
    records: list[RecordDifference]
    config: list[Member]
    picture: MemoryMap | None

    @property
    def is_same(self) -> bool:
        return self.pages[SAME] == sum(self.pages.values()) and not self.records and not self.config


def diff(a: Path, b: Path, picture: bool = False) -> Difference:
    """Compare two checkpoints; the time and place of the save do not count, nor the order of the pages.

    :raise PyxlError: one of them is broken.
    :raise OSError: one of them cannot be read.
    """
    with opened(a) as one, opened(b) as other:
        first, second = _whole(a), _whole(b)
        indexes = PageIndex(), PageIndex()
        fill(indexes[0], one)
        fill(indexes[1], other)
        canvas = Canvas(merge(*map(_stretches, indexes))) if picture else None
        pages = dict.fromkeys((SAME, CHANGED, ONLY_A, ONLY_B), 0)
        ranges: list[Range] = []
        left_out = 0
        for found in _together(_compared(one, other, indexes[0].runs(), indexes[1].runs())):
            pages[found.kind] += found.pages
            if canvas:
                canvas.add(_PAINT[found.kind], found.gfn, found.pages)
            if found.kind != SAME and len(ranges) < MAX_RANGES:
                ranges.append(found)
            elif found.kind != SAME:
                left_out += 1
        records = list(_records(one, other, first, second))
        config = list(members(first.config or {}, second.config or {}))
        return Difference(pages, ranges, left_out, records, config, canvas.map(_KINDS) if canvas else None)


def _whole(path: Path) -> Inspection:
    found = inspect(path, contents=True)
    if found.errors:
        raise PyxlError(f"{path}: {found.errors[0]}")
    if found.left_out:
        raise PyxlError(f"{path}: more records than any guest has")
    return found


def _stretches(index: PageIndex) -> Iterator[tuple[int, int]]:
    return ((run.gfn, run.gfn + run.pages) for run in index.runs())


def _compared(one: Source, other: Source, a: Iterator[Run], b: Iterator[Run]) -> Iterator[Range]:
    """Yield how pages compare, in the order of the guest."""
    for gfn, pages, at_a, at_b in _paired(a, b):
        if at_a is None or at_b is None:
            yield Range(ONLY_A if at_b is None else ONLY_B, gfn, pages)
            continue
        for done in range(0, pages, AT_ONCE):
            count = min(AT_ONCE, pages - done)
            left = one.read(at_a + done * PAGE_SIZE, count * PAGE_SIZE)
            right = other.read(at_b + done * PAGE_SIZE, count * PAGE_SIZE)
            if left == right:
                yield Range(SAME, gfn + done, count)
                continue
            for page in range(count):
                is_same = left.startswith(right[page * PAGE_SIZE : (page + 1) * PAGE_SIZE], page * PAGE_SIZE)
                yield Range(SAME if is_same else CHANGED, gfn + done + page, 1)


def _paired(a: Iterator[Run], b: Iterator[Run]) -> Iterator[tuple[int, int, int | None, int | None]]:
    """Yield (gfn, pages, offset in a, offset in b) of stretches that each side has in full or not at all."""
    one, other = next(a, None), next(b, None)
    while one or other:
        if one and (other is None or one.gfn < other.gfn):
            count = min(one.pages, other.gfn - one.gfn) if other else one.pages
            yield one.gfn, count, one.offset, None
            one = _rest(one, count) or next(a, None)
        elif other and (one is None or other.gfn < one.gfn):
            count = min(other.pages, one.gfn - other.gfn) if one else other.pages
            yield other.gfn, count, None, other.offset
            other = _rest(other, count) or next(b, None)
        elif one and other:
            count = min(one.pages, other.pages)
            yield one.gfn, count, one.offset, other.offset
            one, other = _rest(one, count) or next(a, None), _rest(other, count) or next(b, None)


def _rest(run: Run, count: int) -> Run | None:
    return Run(run.gfn + count, run.pages - count, run.offset + count * PAGE_SIZE) if run.pages > count else None


def _together(ranges: Iterator[Range]) -> Iterator[Range]:
    last: Range | None = None
    for found in ranges:
        if last and found.kind == last.kind and found.gfn == last.gfn + last.pages:
            last = last._replace(pages=last.pages + found.pages)
            continue
        if last:
            yield last
        last = found
    if last:
        yield last


def _records(one: Source, other: Source, first: Inspection, second: Inspection) -> Iterator[RecordDifference]:
    """Yield the records that differ, except pages; the n-th of a name is compared with the n-th."""
    a, b = _numbered(first), _numbered(second)
    for key in [*a, *(key for key in b if key not in a)]:
        left, right = a.get(key), b.get(key)
        if left and right and left.length == right.length and _equal(one, left, other, right):
            continue
        said = ({}, {}) if not left or not right else (_entries(left.content), _entries(right.content))
        lengths = left.length if left else None, right.length if right else None
        yield RecordDifference(*key, *lengths, list(members(*said)))


def _numbered(found: Inspection) -> dict[tuple[str, str, int], Record]:
    numbers: defaultdict[tuple[str, str], int] = defaultdict(int)
    numbered = {}
    for record in found.records:
        if record.layer in ("libxl", "libxc") and record.name != "PAGE_DATA":
            key = record.layer, record.name
            numbered[(*key, numbers[key])] = record
            numbers[key] += 1
    return numbered


def _equal(one: Source, a: Record, other: Source, b: Record) -> bool:
    step = AT_ONCE * PAGE_SIZE
    return all(
        one.read(a.body + at, min(step, a.length - at)) == other.read(b.body + at, min(step, a.length - at))
        for at in range(0, a.length, step)
    )


def _entries(content: Any) -> Any:
    """Return content whose members have names: HVM context entries, leaves and MSRs come as lists."""
    if not isinstance(content, list):
        return content or {}
    if content and "fields" in content[0]:
        return {f"{entry['name']}[{entry['instance']}]": entry["fields"] for entry in content}
    return {f"{entry.get('leaf', entry.get('index'))}.{entry.get('subleaf', 0)}": entry for entry in content}
