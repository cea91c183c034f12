"""Every guest of conf-examples/ boots as it is."""

import re
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.xen.conftest import ROOT, Dom0

EXAMPLES = sorted((ROOT / "conf-examples").glob("*.cfg"))
# Two at a time, as the host has processors; neighbours share no disk.
PAIRS = list(zip_longest(EXAMPLES[::2], EXAMPLES[1::2]))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " ".join(path.stem for path in pair if path))
def test_examples_boot(dom0: Dom0, pair: tuple[Path | None, Path | None]) -> None:
    names = []
    for path in filter(None, pair):
        dom0.pyxl(f"create /opt/pyxl/conf-examples/{path.name}")
        match = re.search(r'^name\s*=\s*"([^"]+)"', path.read_text(), re.MULTILINE)
        assert match
        names.append(match[1])
    for name in names:
        assert dom0.first_tick(name).counter >= 0
    assert set(names) <= set(dom0.domains())
    for name in names:
        dom0.pyxl(f"destroy {name}")


def test_there_are_at_least_five() -> None:
    assert len(EXAMPLES) >= 5
