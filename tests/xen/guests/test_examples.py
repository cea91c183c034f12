"""Every guest of conf-examples/ can be built; some also boot, in `make soak` all of them."""

import os
import re
from pathlib import Path

import pytest

from tests.xen.conftest import Dom0
from tests.xen.link import ROOT

EXAMPLES = sorted((ROOT / "conf-examples").glob("*.cfg"))
#: One that its firmware boots from a disk; other tests boot guests with a kernel from the host.
BOOTED = {"disk-bootloader"}


# One at a time: two that boot at once slow each other in the emulation.
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_boots(dom0: Dom0, path: Path) -> None:
    match = re.search(r'^name\s*=\s*"([^"]+)"', path.read_text(), re.MULTILINE)
    assert match
    boots = path.stem in BOOTED or "PYXL_SOAK" in os.environ
    dom0.pyxl(f"create {'' if boots else '-p'} /opt/pyxl/conf-examples/{path.name}")
    if boots:
        assert dom0.first_tick(match[1]).counter >= 0
    assert match[1] in dom0.domains()
    dom0.pyxl(f"destroy {match[1]}")


def test_there_are_at_least_five() -> None:
    assert len(EXAMPLES) >= 5
    assert {path.stem for path in EXAMPLES} > BOOTED
