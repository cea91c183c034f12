"""Checkpoints of a repository, as lines for a person, and as JSON has them."""

import calendar
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyxl.cli.words import printable, size
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.repository.shares import Share

_TITLES = ("No", "Guest", "Saved", "Memory", "Own", "Shared", "Away", "State")
_LEFT = {"Guest", "Saved", "State"}
_UNKNOWN = "?"


def lines(found: Sequence[Share], stored: int) -> Iterator[str]:
    """Yield a line for each checkpoint, in columns; and one for all, which take ``stored`` bytes."""
    rows = [_TITLES, *(_row(each) for each in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(_TITLES, row, widths, strict=True)
        padded = (text.ljust(width) if title in _LEFT else text.rjust(width) for title, text, width in cells)
        yield "  ".join(padded).rstrip()
    memory = sum(each.facts.pages for each in found) * PAGE_SIZE
    count, guests = len(found), len({each.facts.uuid for each in found if each.facts.saved})
    of = f"{count} checkpoint{'s' * (count != 1)} of {guests} guest{'s' * (guests != 1)}"
    broken = sum(bool(each.problem) for each in found)
    not_whole = f", {broken} not whole" if broken else ""
    yield f"{of}{not_whole}: {size(memory)} of memory in {size(stored)}"


def document(repository: Path, share: Share) -> dict[str, Any]:
    """Return a checkpoint as JSON has it (README.md)."""
    facts = share.facts
    return {
        "checkpoint": f"{repository}@{facts.number}", "number": facts.number, "name": facts.name, "uuid": facts.uuid,
        "saved": facts.saved, "host": facts.host, "xen": facts.xen, "pyxl": facts.pyxl, "size": facts.size,
        "pages": facts.pages, "zero_pages": facts.zero, "new_pages": facts.new,
        "own": share.own, "shared": share.shared, "seconds": facts.seconds, "freeze_seconds": facts.freeze,
        "whole": not share.problem, "problem": share.problem,
    }  # fmt: skip


def _row(each: Share) -> tuple[str, ...]:
    facts = each.facts
    is_known = bool(facts.saved)  # else its manifest cannot be read
    return (
        str(facts.number), printable(facts.name) if is_known else _UNKNOWN, _local(facts.saved),
        size(facts.pages * PAGE_SIZE) if is_known else _UNKNOWN,
        size(each.own), size(each.shared), f"{facts.freeze:.1f} s" if facts.freeze else "-",
        f"not whole: {printable(each.problem)}" if each.problem else "whole",
    )  # fmt: skip


def _local(saved: str) -> str:
    try:
        when = calendar.timegm(time.strptime(saved, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return _UNKNOWN
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
