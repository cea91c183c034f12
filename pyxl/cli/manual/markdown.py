"""Markdown, as far as this tree's READMEs use it, to roff.

`{{PATH#Heading}}` stands for that chapter of a README, without its heading; `{{PATH#Heading|first}}` for what comes
before the first heading in it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pyxl.cli.manual import roff

ROOT = Path(__file__).resolve().parents[3]
_LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
_INCLUDE = re.compile(r"\{\{([^#}]+)#([^|}]+)(\|first)?\}\}")


def converted(text: str) -> list[str]:
    """Return the roff of a Markdown text; a heading of the second level is a section, a deeper one a part."""
    lines: list[str] = []
    for block in _blocks(_included(text)):
        lines += _converted(block)
    return lines


def chapter(path: str, heading: str, first: bool = False) -> str:
    """Return the text of a chapter of a file of this tree, with all its parts or up to the first of them.

    :raise KeyError: it has no such chapter.
    """
    text = (ROOT / path).read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}$\n", text, re.MULTILINE)
    if found is None:
        raise KeyError(f"{path} has no chapter {heading!r}")
    ends = "#+" if first else f"#{{1,{len(found[1])}}}"
    rest = text[found.end() :]
    end = re.search(rf"^{ends} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def _included(text: str) -> str:
    return _INCLUDE.sub(lambda found: chapter(found[1], found[2], bool(found[3])), text)


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield the blocks between empty lines."""
    for block in re.split(r"\n\s*\n|\n(?=#+ )", text):
        if lines := [line.rstrip() for line in block.split("\n") if line.strip()]:
            yield lines


def _converted(block: list[str]) -> list[str]:
    first = block[0]
    if found := re.match(r"(#+) (.*)", first):
        head = roff.heading(found[2]) if len(found[1]) <= 2 else roff.subheading(_plain(found[2]))
        return head + (_converted(block[1:]) if block[1:] else [])
    if first.startswith("|"):
        return _table([_cells(line) for line in block])
    if first.startswith("    "):
        return roff.literal(line[4:] for line in block)
    if first.startswith("- "):
        items = re.split(r"(?m)^- ", "\n".join(block))[1:]
        return [line for each in items for line in roff.bullet(_plain(each))]
    return roff.paragraph(_plain(" ".join(block)))


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text)


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [_plain(cell.strip().replace("\\|", "|")) for cell in cells]


def _table(rows: list[list[str]]) -> list[str]:
    """Return a list of items: a terminal is too narrow for sentences side by side."""
    names, lines = rows[0], []
    for row in rows[2:]:
        told = [f"{name}: {cell}" for name, cell in zip(names[1:], row[1:], strict=True)]
        body = row[1] if len(row) == 2 else "; ".join(told)
        lines += roff.item(roff.inline(row[0]).replace("\n", " ") or "\\&", body)
    return lines
