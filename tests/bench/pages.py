"""How long the page of a big checkpoint takes: to be made, and to be shown in a browser."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.options import PAIRS
from tests.pages import made
from tests.pages.browser import browser

GIB = 16
#: The browser's own clock, from the start of the load to the first picture, which has the memory in it.
DRAWN = "return performance.getEntriesByName('first-contentful-paint').map((each) => each.startTime)[0]"


def bench(place: Path) -> None:
    """Make such a checkpoint and its page, and have the page shown."""
    checkpoint = made.write(place / "big.checkpoint", made.lively(GIB << 10), made.config(GIB << 10))
    page = place / "big.html"
    start = time.monotonic()
    subprocess.run((sys.executable, "-m", "pyxl", "inspect", "--html", str(page), str(checkpoint)), check=True)
    seconds = time.monotonic() - start
    shown = []
    with browser() as window:
        for _ in range(PAIRS):
            window.show(page)
            window.wait(DRAWN)
            shown.append(window.ask(DRAWN) / 1000)
    print(f"\npage of a checkpoint of {GIB} GiB: {page.stat().st_size >> 10} KiB, made in {seconds:.1f} s,"
          f" shown after {statistics.median(shown):.2f} s (median of {PAIRS}; the longest {max(shown):.2f} s)")  # fmt: skip
