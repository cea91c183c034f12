"""Texts and numbers for a person: on a terminal, or in a page."""

import contextlib
import sys

from pyxl.errors import PyxlError


def tell(text: str) -> None:
    """Print a line on stderr; that nobody can read it (a full disk, a pager that has ended) stops nothing."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def tell_error(error: PyxlError) -> None:
    """Print an error on stderr, with its hint below it; both may quote what somebody else made."""
    tell(printable_lines(f"pyxl: {error}" + (f"\n{error.hint}".replace("\n", "\n      ") if error.hint else "")))


def printable(text: str) -> str:
    """Return a text that somebody else made, with a question mark for all that a terminal would act on or not show."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines that somebody else made, each as ``printable`` has it."""
    return "\n".join(map(printable, text.split("\n")))


def ranges(numbers: list[int], count: int) -> str:
    """Return which of the numbers below ``count`` are there, as xl does: "0-3,7", "all", "none"."""
    present = [number for number in numbers if number < count]
    if not present:
        return "none"
    if len(present) == count:
        return "all"
    first = [number for number in present if number - 1 not in present]
    last = [number for number in present if number + 1 not in present]
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in zip(first, last, strict=True))


def compressed(count: int, stored: int) -> str:
    """Return how ``count`` bytes that take ``stored`` are compressed: " compressed to 21.3 MiB (6.4 : 1)"; "" if 0."""
    return f" compressed to {size(stored)} ({count / stored:.1f} : 1)" if stored else ""


def size(count: float) -> str:
    """Return a number of bytes for a person: "545 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit in ("B", "KiB") or count >= 100 else f"{count:.1f} {unit}"
