"""Text to roff, as man(7) has it: escapes, paragraphs, lists, examples.

Knows neither click nor Markdown.
"""

import re
from collections.abc import Iterable

#: What a shell takes, where roff would put typographic ones.
_AS_TYPED = str.maketrans({"-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})
_SENTENCE = re.compile(r"(?<=[a-z0-9)`][.?!:])\s+(?=[A-Z`])")


def escape(text: str, *, literal: bool = False) -> str:
    """Return text that roff shows as it is; in ``literal`` text a dash is the one that a shell takes."""
    text = text.replace("\\", "\\e")
    if literal:
        text = text.translate(_AS_TYPED)
    text = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in text)
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def bold(text: str) -> str:
    return f"\\fB{escape(text, literal=True)}\\fP"


def inline(text: str) -> str:
    """Return running text with its `code` and **words** in bold, options too, each sentence on a line of its own."""
    parts = re.split(r"(`+[^`]+`+|\*\*[^*]+\*\*|(?<![\w-])--?[a-zA-Z][\w-]*(?:=\S*\w)?)", " ".join(text.split()))
    said = "".join(bold(part.strip("`*")) if number % 2 else escape(part) for number, part in enumerate(parts))
    return re.sub(r"^([.'])", r"\\&\1", _SENTENCE.sub("\n", said), flags=re.MULTILINE)


def title(name: str, section: int, date: str, source: str) -> list[str]:
    return [f'.TH "{escape(name.upper(), literal=True)}" {section} "{date}" "{escape(source)}" "pyxl"']


def heading(text: str) -> list[str]:
    return [f'.SH "{escape(text.upper())}"']


def subheading(text: str) -> list[str]:
    return [f'.SS "{escape(text)}"']


def paragraph(text: str) -> list[str]:
    return [".PP", inline(text)]


def literal(lines: Iterable[str]) -> list[str]:
    """Return lines that keep their breaks."""
    return [".PP", ".RS 4", ".nf", *(escape(line, literal=True) or "\\&" for line in lines), ".fi", ".RE"]


def item(tag: str, body: str) -> list[str]:
    """Return an item of a list; ``tag`` is roff already."""
    return [".TP", tag, inline(body) or "\\&"]


def bullet(body: str) -> list[str]:
    return [".IP \\(bu 2", inline(body)]


def page(lines: Iterable[str]) -> str:
    """Return the page; a paragraph right behind a heading is none of its own."""
    text = "\n".join(lines) + "\n"
    return re.sub(r"(?m)^(\.S[HS] .*\n)\.PP\n", r"\1", text)
