"""All that is wrong with one config: its errors and warnings, each with the text of its line and a mark below it.

A message begins with its place, as lexer.place writes it; one without a place is about the config as a whole.
Does not know what is an error: lexer.py and parse.py say so.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

POSITION = re.compile(r":([0-9]+):([0-9]+): ")
#: How much of a long line is shown, and where the mark is in it.
WIDTH, MARK_AT = 110, 60


class Ignored(UsageError):
    """A value that xl warns of, and then does as if its setting were not there; on the command line an error."""


class Report:
    """The errors and warnings of a config, made of (source name, text) chunks; ``strict`` has only errors."""

    def __init__(self, chunks: Iterable[tuple[str, str]], strict: bool = False) -> None:
        self._lines = {source: text.split("\n") for source, text in chunks}
        self._strict = strict
        self._errors: dict[str, str] = {}
        self._warnings: dict[str, None] = {}

    def warn(self, message: str) -> None:
        """Keep a warning; one that is there already is not kept again."""
        if self._strict:
            self._errors.setdefault(message, "")
        else:
            self._warnings.setdefault(message)

    def error(self, error: UsageError) -> None:
        """Keep an error; one without a place follows from those before it, and is kept only as the first."""
        if isinstance(error, Ignored) and self.place(str(error)):
            self.warn(f"{error}: ignored, as xl does")
        elif not self._errors or self.place(str(error)):
            self._errors.setdefault(str(error), error.hint)

    def place(self, message: str) -> str:
        """Return the place that a message begins with, or an empty string."""
        for source in self._lines:
            if message.startswith(source) and (match := POSITION.match(message, len(source))):
                return message[: match.end() - 2]
        return ""

    def hint(self, message: str) -> str:
        """Return what to do about an error; empty where its text says it all."""
        return self._errors.get(message, "")

    def shown(self, message: str) -> str:
        """Return a message with the line that it is about, and a mark below its column."""
        place = self.place(message)
        if not place:
            return message
        source, line_number, column = place.rsplit(":", 2)
        line = self._lines[source][int(line_number) - 1].expandtabs(1).rstrip("\r")
        start = max(0, int(column) - 1 - MARK_AT) if len(line) > WIDTH else 0
        return f"{message}\n    {line[start : start + WIDTH]}\n    {' ' * (int(column) - 1 - start)}^"

    def close(self, warn: Callable[[str], None] | None) -> None:
        """Give each warning to ``warn``, in the order of the text.

        :raise UsageError: there are errors: all of them in one.
        """
        for message in self.warnings:
            if warn:
                warn(self.shown(message))
        if self._errors:
            hints = list(filter(None, map(self.hint, self.errors)))
            raise UsageError("\n".join(map(self.shown, self.errors)), hints[0] if hints else "")

    @property
    def errors(self) -> list[str]:
        """The errors, in the order of the text."""
        return sorted(self._errors, key=self._order)

    @property
    def warnings(self) -> list[str]:
        """The warnings, in the order of the text."""
        return sorted(self._warnings, key=self._order)

    def _order(self, message: str) -> tuple[int, int, int]:
        place = self.place(message)
        if not place:
            return -1, 0, 0
        source, line, column = place.rsplit(":", 2)
        return list(self._lines).index(source), int(line), int(column)
