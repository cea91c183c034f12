"""Checkpoints of a guest that runs on, in a repository: each page is of its freeze, and each comes back as it was."""

import json
from typing import Any

import pytest

from tests.xen.conftest import PLACE, Dom0, Tick
from tests.xen.files.test_extract import COMPARE

REPOSITORY, FILE, RAW = f"{PLACE}/repository", f"{PLACE}/file", f"{PLACE}/raw"


def checkpoint(dom0: Dom0, options: str = "") -> dict[str, Any]:
    """Add a checkpoint of the guest, and return what pyxl says of it."""
    found: dict[str, Any] = json.loads(dom0.pyxl(f"checkpoint --json {options} tick {REPOSITORY}").stdout)
    return found


def note(dom0: Dom0, number: int) -> None:
    """Have the guest note which checkpoint comes next."""
    dom0.ask("tick", "^wrote", f"write /run/which {number}")


def is_of(dom0: Dom0, number: int, before: Tick) -> None:
    """Check that the guest is that of a checkpoint."""
    assert dom0.ask("tick", "^read", "read /run/which").split()[-1] == str(number)
    found = dom0.tick("tick")
    assert found.hash == before.hash, f"checkpoint {number} has other memory"
    assert found.counter > before.counter


def test_each_of_a_series_comes_back_by_pyxl_and_by_xl(dom0: Dom0) -> None:
    ticks = [dom0.wake("tick")]
    dom0.ask("tick", "^dirtying", "dirty 2")
    made = []
    for number in (1, 2, 3):
        note(dom0, number)
        made.append(checkpoint(dom0))
        ticks.append(dom0.tick("tick"))
    note(dom0, 4)
    first, *later = made
    assert first["new_pages"] == first["pages"] - first["zero_pages"]
    assert all(0 < each["new_pages"] < first["new_pages"] / 5 for each in later)
    assert all(each["pages"] == first["pages"] for each in later)
    dom0.pyxl(f"export {REPOSITORY}@2 {FILE}")
    for number, restore in ((3, f"pyxl restore {REPOSITORY}@latest"), (1, f"pyxl restore {REPOSITORY}@1"),
                            (2, f"xl restore {FILE}")):  # fmt: skip
        dom0.run(f"xl destroy tick; {restore}")
        is_of(dom0, number, ticks[number - 1])
    listed = json.loads(dom0.pyxl(f"checkpoints --json {REPOSITORY}").stdout)
    assert [each["number"] for each in listed] == [1, 2, 3]
    # Two are removed; what the third needs of their packs stays.
    dom0.pyxl(f"checkpoints prune --keep last=1 {REPOSITORY}")
    dom0.pyxl(f"verify {REPOSITORY}")
    dom0.run(f"xl destroy tick; pyxl restore --engine libxc {REPOSITORY}")
    is_of(dom0, 3, ticks[2])


@pytest.mark.soak
def test_each_page_of_a_later_checkpoint_is_of_its_freeze(dom0: Dom0) -> None:
    dom0.wake("tick")
    dom0.ask("tick", "^dirtying", "dirty 8")
    checkpoint(dom0)
    saved = checkpoint(dom0, "-p --max-downtime 1 --max-rounds 3")
    assert len(saved["rounds"]) > 2, "it did not write while it was saved"
    dom0.pyxl(f"extract --memory raw -o {RAW} {REPOSITORY}@2")
    same, different = map(int, dom0.run(f"python3 -c '{COMPARE}' {dom0.domid('tick')} {RAW}").stdout.split())
    # xenstored, the console and qemu still write, each to its own page.
    assert same > 32_000 and different <= 16
