"""The figures that are made of measurements, and the chart of them."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import chart
from tests.bench.results import SAVE, WARM, XL, Line, Results, Row, fitted, merged, read, tables, write


def row(mib: int, program: str, run: int, wall: float, step: str = SAVE, fill: str = "idle") -> Row:
    return Row(fill, mib, program, step, run, wall, wall / 2, mib << 20, 0 if run else mib / 8)


def rows() -> list[Row]:
    """xl takes 2 s and 8 s for each GiB, pyxl 3 s and 4 s; in run 2 the machine is at half its speed."""
    found = []
    for mib in (128, 512, 1536):
        for run, slow in enumerate((7, 1, 2, 1)):
            found.append(row(mib, "pyxl", run, slow * (3 + 4 * mib / 1024)))
            found.append(row(mib, XL, run, slow * (2 + 8 * mib / 1024)))
    return found


def test_a_line_is_where_the_squares_are_least() -> None:
    assert fitted([(0, 1), (1, 3), (2, 5)]) == Line(1, 2)
    line = fitted([(0, 0), (1, 3), (2, 3)])
    assert line == pytest.approx((0.5, 1.5))
    assert fitted([(1, 3), (1, 4)]) is None and fitted([]) is None


def test_medians_and_ratios_are_of_pairs_and_run_0_only_has_peaks() -> None:
    results = Results(rows())
    assert results.programs == [XL, "pyxl"]
    assert results.median(512, "idle", "pyxl", SAVE, "wall") == 5
    assert results.ratio(512, "idle", "pyxl", SAVE, "wall") == pytest.approx(5 / 6)
    assert results.peak(512, "idle", "pyxl", SAVE) == 64
    assert results.line("pyxl", SAVE) == pytest.approx((3, 4))
    assert results.median(512, "idle", "pyxl", WARM, "wall") is results.ratio(512, "text", "pyxl", SAVE, "wall") is None
    assert results.line("pyxl", WARM) is None


def test_tables_have_what_was_measured() -> None:
    said = "\n".join(tables(Results([*rows(), row(512, XL, 1, 9, fill="random")])))
    assert "512 MiB, random" in said and "restore" not in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "save + fsync pyxl 5.00 s x 0.83 2.50 s x 0.83 512 MiB x 1.00 64 MiB" in lines
    assert "save + fsync pyxl 3.00 s + 4.00 s/GiB +1.00 s x 0.50" in lines


def test_a_later_run_replaces_its_own_guests_and_steps(tmp_path: Path) -> None:
    earlier, later = [row(128, XL, 1, 1), row(128, XL, 1, 2, WARM), row(512, XL, 1, 3)], [row(128, XL, 1, 4)]
    assert read(tmp_path / "none") == []
    write(tmp_path / "results", earlier)
    assert merged(read(tmp_path / "results"), later) == [*earlier[1:], *later]


def test_the_chart_is_svg_with_a_point_for_each_median() -> None:
    drawn = ElementTree.fromstring(chart.draw(Results(rows())))
    circles = [each for each in drawn.iter("{http://www.w3.org/2000/svg}circle") if each.get("r") == "3"]
    assert len(circles) == 2 * 2 * 3  # of time and bytes, for two programs and three sizes
    highest = min(float(each.get("cy", "")) for each in circles)
    assert 0 <= highest < chart.HEIGHT / 2


@pytest.mark.parametrize(("highest", "step"), [(14, 5), (5, 1), (0.9, 0.2), (1536, 500)])
def test_scales_have_round_numbers(highest: float, step: float) -> None:
    assert chart.step_of(highest) == pytest.approx(step)
