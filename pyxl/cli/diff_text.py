"""What differs between two checkpoints as lines for a person."""

import json
from collections.abc import Iterator
from typing import Any

from pyxl.files.diff import CHANGED, ONLY_A, ONLY_B, SAME, Difference
from pyxl.formats.members import Member

#: The most lines of ranges for a person, and the most characters of a value.
MOST_RANGES, MOST_TEXT = 40, 60
WORDS = {CHANGED: "changed", ONLY_A: "only in A", ONLY_B: "only in B"}


def lines(found: Difference) -> Iterator[str]:
    """Yield what differs, as lines for a person."""
    yield f"pages: {said(found.pages)}"
    for kind, gfn, pages in found.ranges[:MOST_RANGES]:
        until = f" to {gfn + pages - 1:#x}" if pages > 1 else ""
        yield f"  gfn {gfn:#x}{until}: {WORDS[kind]}"
    if (more := len(found.ranges) + found.ranges_left_out - MOST_RANGES) > 0:
        yield f"  … and {more} ranges more"
    for record in found.records:
        number = f" {record.number + 1}" if record.number else ""
        yield f"{record.layer} {record.name}{number}: {sizes(record.a, record.b)}"
        yield from (f"  {member(each)}" for each in record.members)
    if found.config:
        yield "config:"
        yield from (f"  {member(each)}" for each in found.config)


def said(pages: dict[str, int]) -> str:
    """Return how many pages there are of each kind."""
    parts = [f"{pages[SAME]} the same", *(f"{pages[kind]} {word}" for kind, word in WORDS.items() if pages[kind])]
    return ", ".join(parts)


def sizes(a: int | None, b: int | None) -> str:
    """Return how the bodies of a record differ in size."""
    if a is None or b is None:
        return "only in B" if a is None else "only in A"
    return f"{a} bytes in A, {b} in B" if a != b else f"{a} bytes, which differ"


def member(each: Member) -> str:
    """Return a member with both its values."""
    return f"{each.name}: {short(each.a)} in A, {short(each.b)} in B"


def short(value: Any) -> str:
    """Return a value, cut if it is long."""
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
