"""A part of the faults, with pyxl alone; `make faults` and `make soak` try all of them."""

from collections.abc import Iterator

import pytest

from tests.xen.conftest import Dom0
from tests.xen.faults import cycles, flips, races
from tests.xen.faults.runner import Faults
from tests.xen.faults.table import FAULTS, SLICE, Fault

#: The same in each run, so that runs compare; make faults takes a new one each time.
SEED = 20260


@pytest.fixture(scope="module")
def faults(shared_dom0: Dom0) -> Iterator[Faults]:
    faults = Faults(shared_dom0, SEED)
    yield faults
    shared_dom0.clean = False  # guests are where faults left them


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.name in SLICE], ids=lambda fault: fault.name)
def test_a_fault_loses_neither_guest_nor_file(faults: Faults, fault: Fault) -> None:
    verdict = faults.run(fault, "pyxl")
    assert not verdict.bad, verdict


@pytest.mark.parametrize(
    ("options", "kind", "count"),
    [
        ("", "flip", 8), ("", "cut", 3), ("--compress", "flip", 4),
        pytest.param("--compress", "flip", 8, marks=pytest.mark.soak),
        pytest.param("--compress", "cut", 3, marks=pytest.mark.soak),
    ],
)  # fmt: skip
def test_a_damaged_file_runs_no_guest(faults: Faults, options: str, kind: str, count: int) -> None:
    flips.prepare(faults, options)
    assert [attempt for attempt in flips.attempts(faults, "pyxl", kind, count, SEED) if attempt.bad] == []


@pytest.mark.soak
def test_a_guest_goes_round_and_round(faults: Faults) -> None:
    assert cycles.run(faults, 1) == []


@pytest.mark.parametrize("race", races.RACES[::2], ids=lambda race: race.name)
def test_of_two_at_once_one_wins_and_the_other_says_why(faults: Faults, race: races.Race) -> None:
    assert races.run(faults, race, "pyxl") == []


def test_the_slice_is_of_the_table() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 60
    assert set(SLICE) <= set(names)
