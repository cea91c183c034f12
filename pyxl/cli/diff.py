"""`pyxl diff`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pyxl.cli.words import printable
from pyxl.errors import PyxlError, UsageError
from pyxl.files.diff import CHANGED, ONLY_A, ONLY_B, SAME, Difference, Member, diff

DIFFERENT = 1
#: Lines of ranges that a person reads; a value is no longer than so many characters.
MOST_RANGES, MOST_TEXT = 40, 60
WORDS = {CHANGED: "changed", ONLY_A: "only in A", ONLY_B: "only in B"}


@click.command("diff", short_help="Show what differs between two checkpoints.")
@click.argument("a", metavar="A", type=click.Path(path_type=Path))
@click.argument("b", metavar="B", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All of it for programs; pyxl/cli/README.md has its members.")
@click.option("--html", type=click.Path(path_type=Path), metavar="PAGE", help="A page with a picture of the memory.")
def diff_command(a: Path, b: Path, as_json: bool, html: Path | None) -> int:
    """Show which pages, records, registers and members of the config differ between A and B; needs no Xen.

    When and where they were saved does not count. Exit status: 0 nothing differs, 1 something does, 2 trouble.
    """
    try:
        found = diff(a, b, picture=html is not None)
        if html:
            from pyxl.cli import diff_page
            from pyxl.files.output import output

            with output(html, a, b) as out:
                out.write(diff_page.html(a, b, found))
        elif as_json:
            click.echo(json.dumps(document(a, b, found), indent=2))
        else:
            for line in lines(found):
                click.echo(printable(line))
    except (PyxlError, OSError) as error:
        raise UsageError(str(error), getattr(error, "hint", "")) from error
    return 0 if found.is_same else DIFFERENT


def document(a: Path, b: Path, found: Difference) -> dict[str, Any]:
    """Return what differs in the terms of JSON."""
    return {
        "a": str(a),
        "b": str(b),
        "same": found.is_same,
        "pages": found.pages,
        "ranges": [each._asdict() for each in found.ranges],
        "ranges_left_out": found.ranges_left_out,
        "records": [{**each._asdict(), "members": [one._asdict() for one in each.members]} for each in found.records],
        "config": [each._asdict() for each in found.config],
    }


def lines(found: Difference) -> Iterator[str]:
    """Yield what differs for a person."""
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
    """Return how many pages are of each kind."""
    parts = [f"{pages[SAME]} the same", *(f"{pages[kind]} {word}" for kind, word in WORDS.items() if pages[kind])]
    return ", ".join(parts)


def sizes(a: int | None, b: int | None) -> str:
    """Return how the bodies of a record differ as a whole."""
    if a is None or b is None:
        return "only in B" if a is None else "only in A"
    return f"{a} bytes in A, {b} in B" if a != b else f"{a} bytes, which differ"


def member(each: Member) -> str:
    """Return a member with both its values."""
    return f"{each.name}: {short(each.a)} in A, {short(each.b)} in B"


def short(value: Any) -> str:
    """Return a value, the long ones not to their end."""
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
