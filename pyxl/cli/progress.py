"""How a save or restore shows its progress: a bar on a terminal, lines elsewhere, JSON for programs."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from pyxl.cli.words import size, tell
from pyxl.model.report import Report

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

MODES = ("auto", "bar", "plain", "json", "none")
_BAR_SECONDS = 0.1
_BAR_COLUMNS = 60
_LINE_SECONDS = 5.0
_JSON_SECONDS = 0.5

option = click.option(
    "--progress", "mode", type=click.Choice(MODES), default="auto", show_default=True,
    help="How to show progress, on stderr; auto is a bar on a terminal, and lines elsewhere or where it is too narrow.",
)  # fmt: skip


@contextmanager
def shown(mode: str, log: Callable[[str], None]) -> Iterator[Report]:
    """Yield a report of that mode, whose log lines go to ``log``."""
    if mode == "auto":
        mode = "bar" if _can_draw() else "plain"
    if mode == "bar":
        with _Bar(log) as bar:
            yield bar
    else:
        yield {"plain": _Plain, "json": _Json, "none": _Quiet}[mode](log)


def _can_draw() -> bool:
    """Tell whether stderr is a terminal that a bar can be drawn on."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return False
    return not 0 < os.get_terminal_size(sys.stderr.fileno()).columns < _BAR_COLUMNS


class _Quiet(Report):
    """Nothing on the screen but remarks; the log is still kept."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._started = time.monotonic()
        self._stored = 0

    def stored(self, count: int) -> None:
        self._stored = count

    def remark(self, text: str) -> None:
        self.log(text)
        tell(f"pyxl: {text}")

    def log(self, text: str) -> None:
        self._log(text)

    def _rate(self, done: int) -> float:
        """Return bytes a second since the start."""
        return done / max(time.monotonic() - self._started, 0.001)


class _Plain(_Quiet):
    """A line for each step, and one now and then while memory is copied."""

    interval = _LINE_SECONDS

    def step(self, text: str) -> None:
        tell(f"{text} …")

    def progress(self, done: int, total: int) -> None:
        if done < total:
            share = f"{100 * done // total} % of {size(total)}" if total else size(done)
            stored = f", {size(self._stored)} stored" if self._stored else ""
            tell(f"  {share}, {size(self._rate(done))}/s{stored}")


class _Json(_Quiet):
    """One JSON object a line: {"step": …} or {"bytes", "total", "rate", "seconds_left"}, and "stored" if compressed."""

    interval = _JSON_SECONDS

    def step(self, text: str) -> None:
        tell(json.dumps({"step": text}))

    def progress(self, done: int, total: int) -> None:
        rate = self._rate(done)
        left = round((total - done) / rate, 1) if rate else None
        line = {"bytes": done, "total": total, "rate": round(rate), "seconds_left": left}
        if self._stored:
            line["stored"] = self._stored
        tell(json.dumps(line))


class _Bar(_Quiet):
    """rich's bar: bytes, rate, time left; a terminal that has gone away stops nothing."""

    interval = _BAR_SECONDS

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__(log)
        self._bar, self._task = _rich_bar()

    def __enter__(self) -> "_Bar":
        with suppress(OSError):
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._bar.stop()

    def step(self, text: str) -> None:
        with suppress(OSError):
            self._bar.update(self._task, description=text)

    def progress(self, done: int, total: int) -> None:
        with suppress(OSError):
            stored = f"{size(self._stored)} stored" if self._stored else ""
            self._bar.update(self._task, completed=done, total=total, stored=stored)


def _rich_bar() -> "tuple[Progress, TaskID]":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[stored]}"), console=Console(stderr=True), transient=True,
    )  # fmt: skip
    return bar, bar.add_task("starting", total=None, stored="")
