"""`make bench`: pyxl against stock xl on the lab, against Xen's scripts, and its memory engine against the machine.

    make bench [BENCH=save,restore,freeze,series,start,read,convert,engine,pages] [SIZES=…] [FILLS=…] [PAIRS=5]

The lab is a nested emulation: only the ratios count there.
"""

import tempfile
from pathlib import Path

from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps
from tests.bench import convert, engine, freeze, guests, native, pages, read, series, start
from tests.bench.options import BENCH, FILE_MIB, PAIRS, PLACE, RESULTS
from tests.bench.results import Results, tables
from tests.xen.conftest import Dom0
from tests.xen.link import NAME, SUITE


def main() -> None:
    """Do the parts that were asked for: first those that need the lab."""
    with tempfile.TemporaryDirectory(dir=PLACE) as directory:
        place = Path(directory)
        if set(BENCH) - {"engine", "pages"}:
            on_lab(place)
        if {"read", "convert"} & set(BENCH):
            print(f"\nnatively, medians of {PAIRS} pairs, {FILE_MIB} MiB, the file in memory")
        if "read" in BENCH:
            read.bench(place)
        if "convert" in BENCH:
            convert.bench(place)
        if "engine" in BENCH:
            engine.bench(place)
        if "pages" in BENCH:
            pages.bench(place)
        if "start" in BENCH:
            start.natively()


def on_lab(place: Path) -> None:
    """Do what the lab is needed for, and fetch Xen's scripts from there to ``place``."""
    lab = Lab(NAME, suite=SUITE, steps=Steps())
    with lab.session("make bench"):
        lab.up()
        dom0 = Dom0(lab)
        dom0.start_over()
        if "start" in BENCH:
            start.bench(dom0)
        if "freeze" in BENCH:
            freeze.bench(dom0)
        if "series" in BENCH:
            series.bench(dom0)
        if {"read", "convert"} & set(BENCH):
            native.fetch(dom0, place)
        if {"save", "restore"} & set(BENCH):
            rows = guests.bench(dom0, RESULTS)
            print(f"\nXen {lab.suite.xen}, medians of {PAIRS} pairs, ratios to xl's; {RESULTS} has all")
            print("\n".join(tables(Results(rows))))
        lab.down()


if __name__ == "__main__":
    assert Path("pyproject.toml").exists(), "run it at the top of the tree: make bench"
    main()
