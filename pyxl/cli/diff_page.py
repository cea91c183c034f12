"""What differs between two checkpoints as the document of a page, with a picture of their memory."""

from pathlib import Path
from typing import Any

from pyxl import __version__
from pyxl.cli import page
from pyxl.cli.diff_text import WORDS, said, short, sizes
from pyxl.files.diff import Difference
from pyxl.formats.members import Member

#: Rows of a table; more are for `--json`.
MOST_ROWS = 2000
VALUES = [("member", ""), ("A", "detail"), ("B", "detail")]


def html(a: Path, b: Path, found: Difference) -> bytes:
    """Return the page of two checkpoints."""
    document = {
        "title": "Nothing differs" if found.is_same else f"{a.name} and {b.name}",
        "subtitle": f"A is {a}, B is {b}",
        "verdicts": [],
        "facts": [
            ("pages", said(found.pages)),
            ("records that differ", str(len(found.records))),
            ("members of the config that differ", str(len(found.config))),
        ],
        "map": page.memory("Where memory differs", found.picture) if found.picture else None,
        "sections": [*_records(found), *_values("The guest's config", found.config), *_ranges(found)],
        "footer": f"pyxl {__version__}",
    }
    return page.render(document)


def _ranges(found: Difference) -> list[dict[str, Any]]:
    if not found.ranges:
        return []
    rows = [(f"{gfn:#x}", str(pages), WORDS[kind]) for kind, gfn, pages in found.ranges[:MOST_ROWS]]
    more = len(found.ranges) + found.ranges_left_out - len(rows)
    columns = [("gfn", "number"), ("pages", "number"), ("how", "")]
    text = f"{more} ranges more are not listed." if more else ""
    return [{"title": "Pages that differ", "text": text, "columns": columns, "rows": rows}]


def _records(found: Difference) -> list[dict[str, Any]]:
    sections = []
    for record in found.records:
        title = f"{record.layer} {record.name}" + (f" {record.number + 1}" if record.number else "")
        sections.append(
            {"title": title, "text": sizes(record.a, record.b), "columns": VALUES, "rows": _rows(record.members)}
        )
    return sections[:MOST_ROWS]


def _values(title: str, members: list[Member]) -> list[dict[str, Any]]:
    return [{"title": title, "columns": VALUES, "rows": _rows(members)}] if members else []


def _rows(members: list[Member]) -> list[tuple[str, str, str]] | None:
    return [(each.name, short(each.a), short(each.b)) for each in members[:MOST_ROWS]] or None
