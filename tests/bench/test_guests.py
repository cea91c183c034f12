"""The order of the lab's benchmark, on a dom0 that is not there."""

import shlex
from pathlib import Path

import pytest

from pyxl.errors import LabLost
from tests.bench import fills, guests
from tests.bench.results import SAVE, STEPS, Results
from tests.xen.conftest import PLACE, Result


class FakeDom0:
    """A dom0 that does nothing; the lab is lost with the commands that are numbered in ``losses``."""

    def __init__(self, *losses: int) -> None:
        self.measured: list[str] = []
        self.files: dict[str, bytes] = {}
        self.starts = 0
        self._losses = losses

    def start_over(self) -> None:
        self.starts += 1

    def put(self, path: str, data: bytes, mode: int = 0) -> None:
        self.files[path] = data

    def domains(self) -> list[str]:
        return []

    def tick(self, name: str, timeout: int = 0) -> None:
        pass

    def run(self, command: str, timeout: float = 0) -> Result:
        if guests.SCRIPT in command:
            self.measured.append(shlex.split(command)[-1])
            if len(self.measured) in self._losses:
                raise LabLost("gone")
            return Result(0, f'{{"wall": {len(self.measured)}, "cpu": 1, "peak": 0}}', "")
        return Result(0, "4096", "")


@pytest.fixture
def two_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "PAIRS", 2)
    monkeypatch.setattr(guests, "STEPS", STEPS)
    monkeypatch.setattr(fills, "SIZES", [128])
    monkeypatch.setattr(fills, "FILLED", ["idle"])


def bench(dom0: FakeDom0, results: Path) -> Results:
    return Results(guests.bench(dom0, results))  # type: ignore[arg-type]


@pytest.mark.usefixtures("two_pairs")
def test_programs_take_turns_and_each_saves_and_restores(tmp_path: Path) -> None:
    dom0 = FakeDom0()
    results = bench(dom0, tmp_path / "results")
    assert len(dom0.measured) == 3 * 5 * len(STEPS)
    assert dom0.measured[0].startswith("pyxl save --compress bench /")
    assert [line.partition(" /")[0] for line in dom0.measured[15:18]] == ["xl save bench", "xl restore", "xl restore"]
    assert [results.median(128, "idle", "xl", step, "wall") for step in STEPS] == [(16 + 43) / 2, (17 + 44) / 2, (18 + 45) / 2]


@pytest.mark.usefixtures("two_pairs")
def test_a_round_in_which_the_lab_was_lost_is_done_again(tmp_path: Path) -> None:
    dom0 = FakeDom0(20)
    results = bench(dom0, tmp_path / "results")
    assert dom0.starts == 2
    assert len(dom0.measured) == 20 + 2 * 5 * len(STEPS)
    assert results.ratio(128, "idle", "pyxl", SAVE, "wall") is not None
    with pytest.raises(LabLost):
        bench(FakeDom0(1, 2, 3, 4), tmp_path / "results")


@pytest.mark.usefixtures("two_pairs")
def test_only_the_steps_that_were_asked_for_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "STEPS", (SAVE,))
    dom0 = FakeDom0()
    results = bench(dom0, tmp_path / "results")
    assert len(dom0.measured) == 3 * 5 * 2, "it has to be restored for the next program"
    assert [results.median(128, "idle", "xl", step, "wall") is None for step in STEPS] == [False, True, True]


def test_a_guest_of_text_has_a_program_that_fills_it() -> None:
    dom0 = FakeDom0()
    fills.boot(dom0, fills.Spec(512, "text"))  # type: ignore[arg-type]
    config = dom0.files[fills.CONFIG].decode()
    assert f'ramdisk = "{fills.INITRD}"\n' in config and "rdinit=/fill" in config
    assert b"-lt 64 ]" in dom0.files[f"{PLACE}/fill/fill"]
    assert len(dom0.files[f"{PLACE}/fill/sample"]) == 4 << 20
