"""How xl takes a specification such as `type=pv,ports=4` apart, and what C makes of a number in it.

Follows xl 4.17 and C's strtok, strtol and strtoul, which read as many digits as there are and go on.
Does not know which device has which keys.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.lexer import Word
from pyxl.formats.xlcfg.values import INT32_MAX, UINT32_MAX, UINT64_MAX

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The digits that C reads at the start of a text, by base; 0 is C's own way of writing numbers.
DIGITS = {
    0: re.compile(r"[ \t-\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)"),
    10: re.compile(r"[ \t-\r]*([+-]?)([0-9]+)"),
    16: re.compile(r"[ \t-\r]*([+-]?)((?:0[xX])?[0-9a-fA-F]+)"),
}
#: No number with more digits fits in 64 bits, unless it begins with zeros.
MAX_DIGITS = 64


def c_long(text: str, base: int) -> tuple[int, str] | None:
    """Return the number at the start of ``text`` and what follows it, or None where there is none.

    The number is not cut to any width; one of too many digits is returned as one that fits nowhere.
    """
    match = DIGITS[base].match(text)
    if match is None:
        return None
    sign, digits = match.groups()
    if len(digits) > MAX_DIGITS:
        value = UINT64_MAX + 1
    elif base == 0 and digits.startswith("0") and digits.isdigit():
        value = int(digits, 8)
    else:
        value = int(digits, base)
    return -value if sign == "-" else value, text[match.end() :]


def c_unsigned(text: str, base: int = 0) -> tuple[int, str] | None:
    """Return what strtoul makes of the start of ``text``, and what follows; None where there is no number."""
    found = c_long(text, base)
    if found is None:
        return None
    value, rest = found
    return (value & UINT64_MAX if abs(value) <= UINT64_MAX else UINT64_MAX), rest


class Spec:
    """One specification of a ``device``: its text, and whom to tell what xl lets pass."""

    def __init__(self, device: str, text: Word, warn: Callable[[str], None] | None) -> None:
        self.text = text
        self._warn = warn
        self._where = f'{text.place}: {device} "{text}"'

    def error(self, what: str) -> UsageError:
        return UsageError(f"{self._where}: {what}")

    def say(self, what: str) -> None:
        """Tell of something that xl lets pass."""
        if self._warn:
            self._warn(f"{self._where}: {what}")

    def words(self) -> list[str]:
        """Return what stands between commas; several commas are as one, and blanks before a word do not count."""
        return [word.lstrip(" ") for word in self.text.split(",") if word]

    def choice(self, key: str, value: str, names: Sequence[str]) -> str:
        """Return one of ``names``, given in any case.

        :raise UsageError: another value.
        """
        if value.lower() not in names:
            raise self.error(f'{key} is one of {", ".join(names)}, not "{value}"')
        return value.lower()

    def signed(self, key: str, value: str) -> int:
        """Return a C int as atoi has it; tell where ``value`` is not just a number in its range."""
        number, rest = c_long(value, 10) or (0, value)
        cut = (max(-(1 << 63), min(number, (1 << 63) - 1)) + INT32_MAX + 1 & UINT32_MAX) - INT32_MAX - 1
        return self._told(key, value, cut, not value or rest != "" or cut != number)

    def unsigned(self, key: str, value: str, mask: int = UINT32_MAX) -> int:
        """Return a number of as many bits as ``mask``; tell where ``value`` is not just one in its range."""
        number, rest = c_unsigned(value) or (0, value)
        return self._told(key, value, number & mask, not value or rest != "" or number & mask != number)

    def _told(self, key: str, value: str, number: int, odd: bool) -> int:
        if odd:
            self.say(f'{key} is a number: "{value}" is taken for {number}')
        return number

    def boolean(self, key: str, value: str) -> bool:
        """Return whether ``value`` is a number other than 0."""
        return bool(self.unsigned(key, value, UINT64_MAX))
