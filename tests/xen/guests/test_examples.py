"""Every guest of conf-examples/ can be built; some also boot, in `make soak` all of them."""

import re
from pathlib import Path

import pytest

from tests.xen.conftest import Dom0
from tests.xen.link import ROOT

EXAMPLES = sorted((ROOT / "conf-examples").glob("*.cfg"))
#: One that its firmware boots from a disk; other tests boot guests with a kernel from the host.
BOOTED = {"disk-bootloader"}


def created(dom0: Dom0, path: Path, options: str = "") -> str:
    """Create an example's guest, and return its name."""
    match = re.search(r'^name\s*=\s*"([^"]+)"', path.read_text(), re.MULTILINE)
    assert match
    dom0.pyxl(f"create {options} /opt/pyxl/conf-examples/{path.name}")
    assert match[1] in dom0.domains()
    return match[1]


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.stem not in BOOTED], ids=lambda path: path.stem)
def test_example_is_built(dom0: Dom0, path: Path) -> None:
    dom0.pyxl(f"destroy {created(dom0, path, '-p')}")


# One at a time: two that boot at once slow each other in the emulation.
@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=() if path.stem in BOOTED else pytest.mark.soak) for path in EXAMPLES],
    ids=[path.stem for path in EXAMPLES],
)  # fmt: skip
def test_example_boots(dom0: Dom0, path: Path) -> None:
    name = created(dom0, path)
    assert dom0.first_tick(name).counter >= 0
    dom0.pyxl(f"destroy {name}")


def test_there_are_at_least_five() -> None:
    assert len(EXAMPLES) >= 5
    assert {path.stem for path in EXAMPLES} > BOOTED
