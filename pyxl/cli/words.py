"""Texts and numbers for a person: on a terminal, or in a page."""

import contextlib
import sys


def tell(text: str) -> None:
    """Print a line on stderr; that nobody can read it (a full disk, a pager that has ended) stops nothing."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return a text that somebody else made, with a question mark for all that a terminal would act on or not show."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines that somebody else made, each as ``printable`` has it."""
    return "\n".join(map(printable, text.split("\n")))


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
