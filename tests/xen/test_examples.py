"""Every guest of conf-examples/ boots as it is."""

import re
from pathlib import Path

import pytest

from tests.xen.conftest import ROOT, Dom0

EXAMPLES = sorted((ROOT / "conf-examples").glob("*.cfg"))


# One at a time: two that boot side by side in the emulation disturb each other.
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_boots(dom0: Dom0, path: Path) -> None:
    match = re.search(r'^name\s*=\s*"([^"]+)"', path.read_text(), re.MULTILINE)
    assert match
    dom0.pyxl(f"create /opt/pyxl/conf-examples/{path.name}")
    assert dom0.first_tick(match[1]).counter >= 0
    assert match[1] in dom0.domains()
    dom0.pyxl(f"destroy {match[1]}")


def test_there_are_at_least_five() -> None:
    assert len(EXAMPLES) >= 5
