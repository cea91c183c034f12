"""Draws what saves and restores of idle guests took over their sizes, as SVG: points, and the lines through them.

    python -m tests.bench.chart RESULTS.json CHART.svg
"""

import math
import sys
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from tests.bench.results import STEPS, Results, fitted, read

#: Of one panel, in pixels: its area for lines, and what is around that.
WIDTH, HEIGHT = 230, 200
LEFT, TOP, RIGHT, BOTTOM = 50, 34, 16, 50
LEGEND = 30
COLOURS = ("#555555", "#e69f00", "#0072b2", "#56b4e9", "#009e73")
STYLE = "text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } .scale { stroke: #ddd }"
#: What there is a scale mark at, times a power of ten.
ROUND = (1, 2, 5, 10)
MARKS = 5

Value = Callable[[int, str], float | None]


class Panel:
    """One diagram: a value of each program over the sizes of guests, in MiB."""

    def __init__(self, results: Results, title: str, value: Value) -> None:
        self._title = title
        sizes = [mib for mib, fill in results.guests if fill == "idle"]
        self._points = {
            program: [(mib, found) for mib in sizes if (found := value(mib, program)) is not None]
            for program in results.programs
        }
        self._sizes = sizes
        self._step = step_of(max((y for points in self._points.values() for _, y in points), default=1.0))

    def draw(self, left: int) -> Iterator[str]:
        """Yield its elements; ``left`` is where it begins."""
        yield f'<g transform="translate({left + LEFT} {TOP})">'
        yield f'<text class="title" x="0" y="-14">{escape(self._title)}</text>'
        for mark in range(MARKS + 1):
            y = self._y(mark * self._step)
            yield f'<line class="scale" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{mark * self._step:g}</text>'
        for mib in self._sizes:
            yield f'<text x="{self._x(mib):.1f}" y="{HEIGHT + 18}" text-anchor="middle">{mib}</text>'
        yield f'<text x="{WIDTH / 2}" y="{HEIGHT + 36}" text-anchor="middle">MiB of the guest</text>'
        for colour, points in zip(COLOURS, self._points.values(), strict=False):
            if line := fitted(points):
                ends = " ".join(f"{self._x(x):.1f},{self._y(line.fixed + line.slope * x):.1f}" for x in (0, max(self._sizes)))
                yield f'<polyline points="{ends}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            for x, y in points:
                yield f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="3" fill="{colour}"/>'
        yield "</g>"

    def _x(self, mib: float) -> float:
        return WIDTH * mib / max(self._sizes)

    def _y(self, value: float) -> float:
        return HEIGHT - HEIGHT * value / (MARKS * self._step)


def step_of(highest: float) -> float:
    """Return a round number of which ``MARKS`` reach the highest value."""
    least = highest / MARKS
    unit = 10 ** math.floor(math.log10(least))
    return float(next(unit * number for number in ROUND if unit * number >= least * (1 - 1e-9)))


def draw(results: Results) -> str:
    """Return the chart: the seconds of each step, and the MiB that are stored."""

    def seconds(step: str) -> Value:
        return lambda mib, program: results.median(mib, "idle", program, step, "wall")

    def stored(mib: int, program: str) -> float | None:
        found = results.median(mib, "idle", program, STEPS[0], "stored")
        return None if found is None else found / 2**20

    panels = [Panel(results, f"{step}: seconds", seconds(step)) for step in STEPS]
    panels.append(Panel(results, "stored: MiB", stored))
    panel = LEFT + WIDTH + RIGHT
    width, height = panel * len(panels), TOP + HEIGHT + BOTTOM + LEGEND
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, each in enumerate(panels):
        lines += each.draw(number * panel)
    for number, (colour, program) in enumerate(zip(COLOURS, results.programs, strict=False)):
        x, y = LEFT + number * width // (len(COLOURS) + 1), height - LEGEND / 2
        lines.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/><text x="{x + 9}" y="{y + 4}">{escape(program)}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(Results(read(Path(sys.argv[1])))))
