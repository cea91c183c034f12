"""Progress: one line for each step, with the time it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

TAIL_LINES = 15


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, or "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 65536))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    kept = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


class Steps:
    """Prints steps to ``out``; after a failed step prints the tail of its log and raises its error."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = sys.stderr if out is None else out

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    @contextmanager
    def step(self, text: str, log: Path | None = None) -> Iterator[None]:
        """Run the body as one step; ``log`` is the file whose tail explains a failure."""
        print(f"{text} ".ljust(58, "."), end=" ", file=self.out, flush=True)
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            what = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self.say(f"{what} after {time.monotonic() - began:.1f} s")
            text = tail(log) if log is not None and isinstance(error, Exception) else ""
            if text:
                self.say(f"-- the end of {log}:")
                self.say("\n".join(f"   {line}" for line in text.splitlines()))
            raise
        self.say(f"{time.monotonic() - began:5.1f} s")


class Quiet(Steps):
    """Steps that print nothing: for tests and for commands whose output is the result."""

    def say(self, text: str) -> None:
        pass

    @contextmanager
    def step(self, text: str, log: Path | None = None) -> Iterator[None]:
        yield
