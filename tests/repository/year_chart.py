"""Draws a simulated year as SVG: a panel for each value, over the days."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Protocol

from tests.bench.chart import BOTTOM, COLOURS, HEIGHT, LEFT, LEGEND, MARKS, RIGHT, STYLE, TOP, WIDTH, step_of

COLUMNS = 3


class Day(Protocol):
    """What is drawn of a day."""

    @property
    def day(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def live(self) -> int: ...
    @property
    def objects(self) -> int: ...
    @property
    def before(self) -> float: ...
    @property
    def dead(self) -> float: ...
    @property
    def saved(self) -> int: ...
    @property
    def rewritten(self) -> int: ...
    @property
    def runs(self) -> int | None: ...
    @property
    def plan(self) -> float | None: ...


Value = Callable[[Day], float | None]
#: Each panel's title, and its lines with what they are called.
PANELS: tuple[tuple[str, tuple[tuple[str, Value], ...]], ...] = (
    ("size: GiB", (("live", lambda day: day.live / 2**30), ("all", lambda day: day.size / 2**30))),
    ("packs and manifests", (("", lambda day: day.objects),)),
    ("dead: % of the packs", (("after a prune", lambda day: 100 * day.dead), ("before", lambda day: 100 * day.before))),
    ("written until then: GiB", (("checkpoints", lambda day: day.saved / 2**30), ("prunes", lambda day: day.rewritten / 2**30))),
    ("runs of the newest: thousands", (("", lambda day: None if day.runs is None else day.runs / 1000),)),
    ("planning its restore: s", (("", lambda day: day.plan),)),
)


def draw(days: Sequence[Day]) -> str:
    """Return the chart."""
    panel, row = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM + LEGEND
    width, height = panel * COLUMNS, row * -(-len(PANELS) // COLUMNS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (title, values) in enumerate(PANELS):
        lines.append(f'<g transform="translate({number % COLUMNS * panel + LEFT} {number // COLUMNS * row + TOP})">')
        lines += _panel(days, title, values)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def _panel(days: Sequence[Day], title: str, values: Sequence[tuple[str, Value]]) -> Iterator[str]:
    found = [[(day.day, y) for day in days if (y := value(day)) is not None] for _, value in values]
    last = days[-1].day
    step = step_of(max((y for points in found for _, y in points), default=0.0) or 1.0)
    yield f'<text class="title" x="0" y="-14">{escape(title)}</text>'
    for mark in range(MARKS + 1):
        y = HEIGHT - HEIGHT * mark / MARKS
        yield f'<line class="scale" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{mark * step:g}</text>'
    for mark in range(4):
        yield f'<text x="{WIDTH * mark / 3:.1f}" y="{HEIGHT + 18}" text-anchor="middle">{last * mark // 3}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT + 36}" text-anchor="middle">day</text>'
    for number, ((name, _), points) in enumerate(zip(values, found, strict=True)):
        colour = COLOURS[2 - number]
        line = " ".join(f"{WIDTH * x / last:.1f},{HEIGHT - HEIGHT * y / (MARKS * step):.1f}" for x, y in points)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        if name:
            x, y = number * WIDTH / 2, HEIGHT + BOTTOM + LEGEND / 2
            yield f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/><text x="{x + 9}" y="{y + 4}">{escape(name)}</text>'
