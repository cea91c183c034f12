"""What saves and restores took, in a file, and the figures that are made of it."""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SAVE, WARM, COLD = "save + fsync", "restore, warm", "restore, cold"
STEPS = (SAVE, WARM, COLD)
#: What all are compared with.
XL = "xl"


class Row(NamedTuple):
    """One step by one program: ``wall`` and ``cpu`` in seconds, ``stored`` in bytes, ``peak`` in MiB.

    In run 0 only the peak counts, in all others it is 0.
    """

    fill: str
    mib: int
    program: str
    step: str
    run: int
    wall: float
    cpu: float
    stored: int
    peak: float


class Line(NamedTuple):
    """time = ``fixed`` seconds + ``slope`` seconds for each GiB."""

    fixed: float
    slope: float


def read(path: Path) -> list[Row]:
    """Return what a file has; nothing where there is none."""
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write(path: Path, rows: Sequence[Row]) -> None:
    lines = (json.dumps(row._asdict()) for row in rows)
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def merged(earlier: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Return the new rows, and those of earlier runs for steps and guests that have no new ones."""
    new = {(row.fill, row.mib, row.step) for row in rows}
    return [row for row in earlier if (row.fill, row.mib, row.step) not in new] + list(rows)


class Results:
    """The figures of rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.programs = list(dict.fromkeys(sorted((row.program for row in rows), key=lambda name: (name != XL, name))))
        self.guests = sorted({(row.mib, row.fill) for row in rows}, key=lambda guest: (guest[1] != "idle", *guest))

    def median(self, mib: int, fill: str, program: str, step: str, what: str) -> float | None:
        """Return the median of ``what``, a member of Row; None where it was not measured."""
        found = [getattr(row, what) for row in self._of(mib, fill, program, step)]
        return statistics.median(found) if found else None

    def ratio(self, mib: int, fill: str, program: str, step: str, what: str) -> float | None:
        """Return the median of the ratios to xl, each of two steps of the same run."""
        its = {row.run: getattr(row, what) for row in self._of(mib, fill, XL, step)}
        ours = {row.run: getattr(row, what) for row in self._of(mib, fill, program, step)}
        ratios = [ours[run] / its[run] for run in ours.keys() & its.keys() if its[run]]
        return statistics.median(ratios) if ratios else None

    def peak(self, mib: int, fill: str, program: str, step: str) -> float:
        """Return the most memory that was needed, in MiB; 0 where nobody looked."""
        wanted = (fill, mib, program, step)
        return max((row.peak for row in self._rows if row[:4] == wanted), default=0)

    def line(self, program: str, step: str, what: str = "wall") -> Line | None:
        """Return the line through the medians of the idle guests; None for fewer than two sizes."""
        points = [(mib / 1024, self.median(mib, fill, program, step, what)) for mib, fill in self.guests if fill == "idle"]
        return fitted([(x, y) for x, y in points if y is not None])

    def _of(self, mib: int, fill: str, program: str, step: str) -> list[Row]:
        return [row for row in self._rows if row.run and row[:4] == (fill, mib, program, step)]


def fitted(points: Sequence[tuple[float, float]]) -> Line | None:
    """Return the line with the least squares of what it is off; None where the points have no two places."""
    if len({x for x, _ in points}) < 2:
        return None
    line = statistics.linear_regression(*zip(*points, strict=True))
    return Line(line.intercept, line.slope)


def tables(results: Results) -> Iterator[str]:
    """Yield lines that show all figures, with ratios to xl behind them."""
    for mib, fill in results.guests:
        yield f"\n{mib} MiB, {fill}{'':20}   wall            cpu             stored           peak"
        for step in STEPS:
            for program in results.programs:
                if (wall := results.median(mib, fill, program, step, "wall")) is None:
                    continue
                cpu, stored = (results.median(mib, fill, program, step, what) or 0 for what in ("cpu", "stored"))
                ratios = [_ratio(results.ratio(mib, fill, program, step, what)) for what in ("wall", "cpu", "stored")]
                peak = results.peak(mib, fill, program, step)
                yield (f"{step:14} {program:16} {wall:7.2f} s {ratios[0]} {cpu:7.2f} s {ratios[1]}"
                       f" {stored / 2**20:7.0f} MiB {ratios[2]} {peak:5.0f} MiB")  # fmt: skip
    yield "\nidle guests: time = fixed + slope x GiB"
    for step in STEPS:
        xl = results.line(XL, step)
        for program in results.programs:
            if line := results.line(program, step):
                ahead = f"  {line.fixed - xl.fixed:+6.2f} s  {_ratio(line.slope / xl.slope)}" if xl else ""
                yield f"{step:14} {program:16} {line.fixed:6.2f} s + {line.slope:6.2f} s/GiB{ahead}"


def _ratio(ratio: float | None) -> str:
    return "      " if ratio is None else f"x {ratio:4.2f}"
