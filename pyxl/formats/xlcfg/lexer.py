"""xl.cfg text to settings: tokens, strings, lists, `=` and `+=`.

Follows xl.cfg(5) and the grammar that libxlutil 4.17 accepts.
Does not know what any setting means.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
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
    |(?P<mark>\+=|[][,=;])
    |(?P<bad>['"][^\n]*|.)""",
    re.VERBOSE,
)
#: What only a config of xm has, which was a Python program; looked for only where there is an error.
PYTHON = r"""(?mx)
    ^(?:(?:import|from|def|if|for|while|print|try|exec|class|with|else|elif|return)\b(?![ \t]*\+?=)
    |[ \t]*\w+[ \t]*=[^#'"\n]*(?:\b(?:os|sys)\.|\b(?:str|int|range)\()
    |[ \t]*\w+[ \t]*=[ \t]*(?:'[^'\n]*'|"[^"\n]*")[ \t]*[%+][ \t]*[\w('"])"""
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
        """`FILE:LINE:COLUMN`, or `command line`."""
        return place(self.source, self.line, self.column)

    def __repr__(self) -> str:
        return f"<{self.place}: {self.name} {'+=' if self.added else '='} {self.value!r}>"


class Token:
    __slots__ = ("column", "kind", "line", "text")

    def __init__(self, kind: str, text: str, line: int, column: int) -> None:
        self.kind = kind
        self.text = text
        self.line = line
        self.column = column


def place(source: str, line: int, column: int) -> str:
    """Return `SOURCE:LINE:COLUMN`; the command line has no lines."""
    return source if source == COMMAND_LINE else f"{source}:{line}:{column}"


def _raise(error: UsageError) -> None:
    raise error


def read(
    chunks: Iterable[tuple[str, str]], failed: Callable[[UsageError], None] = _raise
) -> dict[str, Setting]:
    """Return the settings of all (source name, text) chunks by name: a later one replaces, `+=` appends.

    ``failed`` gets each error: a syntax error, or `+=` between a list and a string; the reading goes on after it.

    :raise UsageError: a text is a Python program; or from ``failed``, which by default raises what it gets.
    """
    result: dict[str, Setting] = {}
    for source, text in chunks:
        for setting in settings(source, text, failed):
            earlier = result.pop(setting.name, None)
            if setting.added and earlier is not None:
                try:
                    setting.value = _joined(earlier, setting)
                except UsageError as error:
                    failed(error)
                    setting = earlier
            result[setting.name] = setting
    return result


def settings(source: str, text: str, failed: Callable[[UsageError], None] = _raise) -> list[Setting]:
    """Return the settings in the order of the text; ``source`` names it in errors, which go to ``failed``.

    :raise UsageError: the text is a Python program; or from ``failed``.
    """

    def failed_here(error: UsageError) -> None:
        if match := re.search(PYTHON, text):
            line = text.count("\n", 0, match.start()) + 1
            raise UsageError(
                f"{place(source, line, 1)}: this is a Python program, as xm took them",
                "xl.cfg has only `name = value`: write down what the program would have made.",
            )
        failed(error)

    return _Parser(source, _tokens(text), failed_here).settings()


def drop(settings: dict[str, Setting], place: str) -> str:
    """Take out the setting, or the item of a list, that stands at ``place``, and return its option's name.

    Return an empty string where nothing stands there.
    """
    for name, setting in settings.items():
        if place in (setting.place, getattr(setting.value, "place", "")) and setting.source != COMMAND_LINE:
            del settings[name]
            return name
        for item in setting.value if isinstance(setting.value, list) else ():
            if isinstance(item, Word) and item.place == place != COMMAND_LINE:
                assert isinstance(setting.value, list)
                setting.value = [other for other in setting.value if other is not item]
                return name
    return ""


def _joined(earlier: Setting, later: Setting) -> Value:
    if isinstance(earlier.value, list) and isinstance(later.value, list):
        return earlier.value + later.value
    if isinstance(earlier.value, Word) and isinstance(later.value, Word):
        return Word(earlier.value + later.value, later.value.place)
    raise UsageError(f'{later.place}: "{later.name}": a list and a string cannot be added')


def _tokens(text: str) -> list[Token]:
    tokens = []
    line, line_start, at = 1, 0, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None and match.lastgroup is not None
        kind, column = match.lastgroup, at - line_start + 1
        at = match.end()
        if kind != "skip":
            tokens.append(Token(kind, match.group(), line, column))
        if kind == "newline":
            line, line_start = line + 1, at
    tokens.append(Token("end", "", line, at - line_start + 1))
    return tokens


def _unexpected(character: str, following: str) -> str:
    if character in "'\"":
        return "this string does not end on its line"
    if character == "\r":
        return "carriage return: the file has DOS line ends"
    if character == "-" and following[:1].isdigit():
        return "a negative number must stand in quotes"
    if character.isascii() and character.isupper():
        return f"unexpected {character!r}: names have no capital letters, and strings stand in quotes"
    return f"unexpected {character!r}"


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, source: str, tokens: Sequence[Token], failed: Callable[[UsageError], None]) -> None:
        self._source = source
        self._tokens = tokens
        self._failed = failed
        self._at = 0

    def settings(self) -> list[Setting]:
        result: list[Setting] = []
        while True:
            while self._peek().kind == "newline" or self._peek().text == ";":
                self._at += 1
            if self._peek().kind == "end":
                return result
            try:
                result.append(self._setting())
            except UsageError as error:
                self._failed(error)
                self._skip_to_a_setting()

    def _setting(self) -> Setting:
        name = self._take()
        if name.kind != "name":
            raise self._error(name, "expected the name of an option")
        operator = self._take()
        if operator.text not in ("=", "+="):
            raise self._error(operator, f'expected "=" after "{name.text}"')
        value = self._value(0)
        end = self._peek()
        if end.kind not in ("newline", "end") and end.text != ";":
            raise self._error(end, f'expected the end of the line after the value of "{name.text}"')
        return Setting(name.text, value, self._source, name.line, name.column, operator.text == "+=")

    def _skip_to_a_setting(self) -> None:
        """Go on after an error: the rest of a broken list has lines of its own, which are no errors more."""
        while self._peek().kind != "end":
            first, second = self._tokens[self._at], self._tokens[self._at + 1]
            starts = not self._at or self._tokens[self._at - 1].kind == "newline"
            if starts and first.kind == "name" and second.text in ("=", "+="):
                return
            self._at += 1

    def _value(self, depth: int) -> Value:
        token = self._take()
        if token.kind == "number":
            return Word(token.text, place(self._source, token.line, token.column))
        if token.kind == "string":
            return Word(self._unquoted(token), place(self._source, token.line, token.column))
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
        where = place(self._source, token.line, token.column)
        if token.kind == "bad":
            return UsageError(f"{where}: {_unexpected(token.text[0], self._tokens[self._at].text)}")
        seen = {"end": "the end of the text", "newline": "the end of the line"}.get(token.kind, token.text)
        return UsageError(f"{where}: {what}, not {seen}")
