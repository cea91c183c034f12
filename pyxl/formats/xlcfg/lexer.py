"""xl.cfg text to settings: tokens, strings, lists, `=` and `+=`.

Follows xl.cfg(5) and the grammar that libxlutil 4.17 accepts.
Does not know what any setting means.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    Value: TypeAlias = "Word | list[Value]"

#: The source name of settings given as arguments: their errors carry no line.
COMMAND_LINE = "command line"

TOKEN = re.compile(
    r"""(?P<skip>[ \t]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<name>[a-z][._0-9a-z]*)
    |(?P<number>[0-9][0-9a-fx]*)
    |(?P<string>'(?:[^'\\\n\0]|\\[^\n\0])*'|"(?:[^"\\\n\0]|\\[^\n\0])*")
    |(?P<mark>\+=|[][,=;])""",
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(.)")
ESCAPES = {
    '"': '"', "'": "'", "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
#: Deeper lists than any option has; a limit, because the parser recurses.
MAX_DEPTH = 16


class Word(str):
    """A string or number of the text, equal to its own characters, which knows its ``place``."""

    __slots__ = ("place",)
    place: str

    def __new__(cls, text: str, place: str = "") -> Word:
        word = super().__new__(cls, text)
        word.place = place
        return word


class Setting:
    """One `name = value`: the value is a Word or a list, numbers are kept as text.

    ``added`` says that the last operator was `+=`: such a value cannot be a number.
    """

    __slots__ = ("added", "column", "line", "name", "source", "value")

    def __init__(self, name: str, value: Value, source: str, line: int, column: int, added: bool = False) -> None:
        self.name = name
        self.value = value
        self.source = source
        self.line = line
        self.column = column
        self.added = added

    @property
    def place(self) -> str:
        """`FILE:LINE`, or `command line`."""
        return place(self.source, self.line)

    def __repr__(self) -> str:
        return f"<{self.place}: {self.name} {'+=' if self.added else '='} {self.value!r}>"


class Token:
    __slots__ = ("column", "kind", "line", "text")

    def __init__(self, kind: str, text: str, line: int, column: int) -> None:
        self.kind = kind
        self.text = text
        self.line = line
        self.column = column


def place(source: str, line: int, column: int = 0) -> str:
    """Return `SOURCE:LINE` or, with a column, `SOURCE:LINE:COLUMN`; the command line has neither."""
    if source == COMMAND_LINE:
        return source
    return f"{source}:{line}:{column}" if column else f"{source}:{line}"


def read(chunks: Iterable[tuple[str, str]]) -> dict[str, Setting]:
    """Return the settings of all (source name, text) chunks by name: a later one replaces, `+=` appends.

    :raise UsageError: a syntax error, or `+=` between a list and a string.
    """
    result: dict[str, Setting] = {}
    for source, text in chunks:
        for setting in settings(source, text):
            earlier = result.pop(setting.name, None)
            if setting.added and earlier is not None:
                setting.value = _joined(earlier, setting)
            result[setting.name] = setting
    return result


def settings(source: str, text: str) -> list[Setting]:
    """Return the settings in the order of the text; ``source`` names it in errors.

    :raise UsageError: a syntax error, as `FILE:LINE:COLUMN: what`.
    """
    return _Parser(source, _tokens(source, text)).settings()


def _joined(earlier: Setting, later: Setting) -> Value:
    if isinstance(earlier.value, list) and isinstance(later.value, list):
        return earlier.value + later.value
    if isinstance(earlier.value, Word) and isinstance(later.value, Word):
        return Word(earlier.value + later.value, later.value.place)
    raise UsageError(f'{later.place}: "{later.name}": a list and a string cannot be added')


def _tokens(source: str, text: str) -> list[Token]:
    tokens = []
    line, line_start, at = 1, 0, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        column = at - line_start + 1
        if match is None:
            raise UsageError(f"{place(source, line, column)}: {_unexpected(text, at)}")
        kind = match.lastgroup
        assert kind is not None
        at = match.end()
        if kind != "skip":
            tokens.append(Token(kind, match.group(), line, column))
        if kind == "newline":
            line, line_start = line + 1, at
    tokens.append(Token("end", "", line, at - line_start + 1))
    return tokens


def _unexpected(text: str, at: int) -> str:
    character = text[at]
    if character in "'\"":
        return "this string does not end on its line"
    if character == "\r":
        return "carriage return: the file has DOS line ends"
    if character == "-" and text[at + 1 : at + 2].isdigit():
        return "a negative number must stand in quotes"
    if character.isascii() and character.isupper():
        return f"unexpected {character!r}: names have no capital letters, and strings stand in quotes"
    return f"unexpected {character!r}"


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        self._source = source
        self._tokens = tokens
        self._at = 0

    def settings(self) -> list[Setting]:
        result: list[Setting] = []
        while True:
            while self._peek().kind == "newline" or self._peek().text == ";":
                self._at += 1
            name = self._take()
            if name.kind == "end":
                return result
            if name.kind != "name":
                raise self._error(name, "expected the name of an option")
            operator = self._take()
            if operator.text not in ("=", "+="):
                raise self._error(operator, f'expected "=" after "{name.text}"')
            value = self._value(0)
            end = self._peek()
            if end.kind not in ("newline", "end") and end.text != ";":
                raise self._error(end, f'expected the end of the line after the value of "{name.text}"')
            result.append(Setting(name.text, value, self._source, name.line, name.column, operator.text == "+="))

    def _value(self, depth: int) -> Value:
        token = self._take()
        if token.kind == "number":
            return Word(token.text, place(self._source, token.line))
        if token.kind == "string":
            return Word(self._unquoted(token), place(self._source, token.line))
        if token.text == "[":
            if depth == MAX_DEPTH:
                raise self._error(token, f"lists are nested more than {MAX_DEPTH} deep")
            return self._list(depth + 1)
        if token.kind == "name":
            raise self._error(token, "expected a value: strings stand in quotes")
        raise self._error(token, "expected a string, a number or a list")

    def _list(self, depth: int) -> list[Value]:
        items: list[Value] = []
        self._skip_newlines()
        while self._peek().text != "]":
            items.append(self._value(depth))
            self._skip_newlines()
            if self._peek().text == "]":
                break
            token = self._take()
            if token.text != ",":
                raise self._error(token, 'expected "," or "]" in a list')
            self._skip_newlines()
        self._at += 1
        return items

    def _unquoted(self, token: Token) -> str:
        def character(match: re.Match[str]) -> str:
            escaped = match.group(1)
            if escaped not in ESCAPES:
                # xl 4.17 refuses \x41 and silently drops \101: neither can be what was meant.
                what = "a numeric escape" if escaped in "x01234567" else "an unknown escape"
                column = token.column + 1 + match.start()
                raise UsageError(f"{place(self._source, token.line, column)}: {what} in a string: \\{escaped}")
            return ESCAPES[escaped]

        inside = token.text[1:-1]
        return ESCAPE.sub(character, inside) if "\\" in inside else inside

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _skip_newlines(self) -> None:
        while self._peek().kind == "newline":
            self._at += 1

    def _error(self, token: Token, what: str) -> UsageError:
        seen = {"end": "the end of the text", "newline": "the end of the line"}.get(token.kind, token.text)
        return UsageError(f"{place(self._source, token.line, token.column)}: {what}, not {seen}")
