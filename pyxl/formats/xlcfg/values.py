"""What a setting of xl.cfg must be (a number, a string, a list, a name) and the error when it is not.

Follows libxlutil 4.17, which reads numbers as C's strtol with base 0; xl goes on where this raises Ignored.
Does not know which option wants what: options.py has the kind of each.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.lexer import Setting, Word
from pyxl.formats.xlcfg.options import BOOL, CHOICE, INT, MIB, NUMBERED, TEXT, TEXTS, UINT
from pyxl.formats.xlcfg.report import Ignored

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INT32_MAX = (1 << 31) - 1
UINT32_MAX = (1 << 32) - 1
UINT64_MAX = (1 << 64) - 1
NUMBER = re.compile(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))")
#: More digits than any number that fits in 64 bits.
MAX_DIGITS = 24


def c_number(text: str) -> int | None:
    """Return the number that C's strtol(text, base 0) reads, or None when ``text`` is not all a number."""
    match = NUMBER.fullmatch(text)
    if match is None or len(text) > MAX_DIGITS:
        return None
    sign, hexadecimal, octal, decimal = match.groups()
    value = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    return -value if sign == "-" else value


def plain_number(text: str) -> int | None:
    """Return a decimal number from 0 to INT32_MAX, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        return None
    value = int(text)
    return value if value <= INT32_MAX else None


def defbool(value: object) -> str:
    """Return what libxl's JSON has for a boolean that may also be unset."""
    return "True" if value else "False"


def wrong(setting: Setting, wanted: str) -> UsageError:
    """Return the error `PLACE: "name" wants this, not "that"`."""
    return UsageError(_wants(setting, wanted))


def _wants(setting: Setting, wanted: str) -> str:
    if isinstance(setting.value, list):
        return f'{setting.place}: "{setting.name}" wants {wanted}, not a list'
    return f'{setting.value.place}: "{setting.name}" wants {wanted}, not "{setting.value}"'


def text(setting: Setting) -> Word:
    """Return a string.

    :raise Ignored: a list.
    :raise UsageError: a string that is not UTF-8.
    """
    if isinstance(setting.value, list):
        raise Ignored(_wants(setting, "a string"))
    return _readable(setting, setting.value)


def _readable(setting: Setting, word: Word) -> Word:
    if not word.isascii() and any("\udc80" <= letter <= "\udcff" for letter in word):
        raise UsageError(f'{word.place}: "{setting.name}" is not UTF-8: libxl could not read the config again')
    return word


def number(setting: Setting, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> int:
    """Return a number from ``low`` to ``high``.

    :raise Ignored: no number, or made with `+=`.
    :raise UsageError: out of range.
    """
    value = None if isinstance(setting.value, list) else c_number(setting.value)
    if value is None:
        raise Ignored(_wants(setting, "a number"))
    if setting.added:
        raise Ignored(f'{setting.place}: "{setting.name}" is a number: += cannot add to it')
    if not low <= value <= high:
        raise wrong(setting, f"a number from {low} to {high}")
    return value


def exact_number(setting: Setting, low: int, high: int) -> int:
    """Return a number from ``low`` to ``high``, for one of the options that xl does not ignore when it is none.

    :raise UsageError: no number, or out of range.
    """
    try:
        return number(setting, low, high)
    except Ignored as error:
        raise UsageError(str(error)) from None


def texts(setting: Setting) -> list[Word]:
    """Return a list of strings.

    :raise Ignored: a string.
    :raise UsageError: a list within the list, or a string that is not UTF-8.
    """
    if not isinstance(setting.value, list):
        raise Ignored(_wants(setting, "a list"))
    words = [_readable(setting, item) for item in setting.value if isinstance(item, Word)]
    if len(words) < len(setting.value):
        raise UsageError(f'{setting.place}: "{setting.name}" wants a list of strings, not of lists')
    return words


def choice(setting: Setting, names: Sequence[str]) -> str:
    """Return one of ``names``, given in any case.

    :raise UsageError: another string, or a list.
    """
    name = text(setting).lower()
    if name not in names:
        raise wrong(setting, f"one of {', '.join(names)}")
    return name


def numbered(setting: Setting, names: Sequence[str]) -> str:
    """Return one of ``names``, given by name or, as in older xl, by number.

    :raise UsageError: another string or number, or a list.
    """
    if is_number(setting):
        return names[number(setting, 0, len(names) - 1)]
    return choice(setting, names)


def is_number(setting: Setting) -> bool:
    """Tell whether an option that takes numbers and names is given a number; what `+=` makes is a name.

    :raise Ignored: a list.
    """
    return not setting.added and c_number(text(setting)) is not None


def mapped(setting: Setting, names: Mapping[str, str]) -> str:
    """Return the value that ``names`` has for the string.

    :raise UsageError: another string, or a list.
    """
    name = text(setting)
    if name not in names:
        raise wrong(setting, f"one of {', '.join(names)}")
    return names[name]


def converted(setting: Setting, kind: str, names: Sequence[str]) -> object:
    """Return what libxl's JSON has for a value of this kind; ``names`` are those of an enumeration.

    :raise UsageError: a value of another kind.
    """
    if kind == BOOL:
        return defbool(number(setting))
    if kind == INT:
        return number(setting, -INT32_MAX - 1, INT32_MAX)
    if kind == UINT:
        return number(setting, -INT32_MAX - 1, UINT32_MAX) & UINT32_MAX
    if kind == MIB:
        return number(setting, 0, INT32_MAX) * 1024
    if kind == TEXT:
        return text(setting)
    if kind == TEXTS:
        if not isinstance(setting.value, list):
            raise wrong(setting, "a list")
        return texts(setting)
    if kind == CHOICE:
        return choice(setting, names)
    assert kind == NUMBERED
    return numbered(setting, names)
