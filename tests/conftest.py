"""What a run took, room by room, beside what it may take."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Minutes on two idle cores, as tests/README.md has them: who adds to one takes as much away from another.  The lab's
#: row is the wait for it, from an empty cache; the pages, the package and the rooms without a lab run meanwhile.
BUDGET = {
    "tests/deb": 0.5,
    "tests/pages": 0.5,
    "tests/xen": 0.5,
    "tests/xen/clones": 3.5,
    "tests/xen/dm": 3.5,
    "tests/xen/faults": 3.5,
    "tests/xen/files": 0.5,
    "tests/xen/guests": 8.5,
    "tests/xen/host": 7.5,
    "tests/xen/package": 3.0,
    "tests/xen/repository": 1.5,
    "tests/xen/trixie": 3.0,
}
REST, REST_MINUTES = "without a lab", 3.0


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """Keep a command that a test runs in this process from taking Ctrl-C away from the run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to `make soak` what is marked so."""
    if "PYXL_SOAK" not in os.environ:
        left = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                folder = str(Path(report.nodeid.partition("::")[0]).parent)
                seconds[folder if folder in BUDGET else REST] += report.duration
    terminalreporter.section("minutes")
    for room, may_take in {REST: REST_MINUTES, **BUDGET}.items():
        if room in seconds:
            terminalreporter.line(f"{room:18} {seconds[room] / 60:5.1f} of {may_take:4.1f}")
    terminalreporter.line(f"{'all':18} {sum(seconds.values()) / 60:5.1f}")
