"""Progress: one line for each step, with its time; a failure shows the end of its log."""

import io
import re
from pathlib import Path

import pytest

from pyxl.errors import LabLost
from pyxl.lab.steps import Quiet, Steps


def test_a_step_is_one_line_that_ends_with_its_time() -> None:
    out = io.StringIO()
    steps = Steps(out)
    with steps.step("boot Xen"):
        assert out.getvalue().startswith("boot Xen ...")
        assert "\n" not in out.getvalue()
    assert re.fullmatch(r"boot Xen \.+ +\d+\.\d s\n", out.getvalue())


def test_a_failed_step_shows_the_end_of_its_log_and_goes_on_up(tmp_path: Path) -> None:
    log = tmp_path / "serial.log"
    log.write_text("".join(f"line {number}\n" for number in range(40)))
    out = io.StringIO()
    with pytest.raises(LabLost, match="the emulator died"), Steps(out).step("boot Xen", log):
        raise LabLost("the emulator died")
    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"boot Xen \.+ failed after \d+\.\d s", lines[0])
    assert lines[1] == f"-- the end of {log}:"
    assert lines[2] == "   line 25"
    assert lines[-1] == "   line 39"


def test_a_failed_step_without_a_log_is_one_line(tmp_path: Path) -> None:
    out = io.StringIO()
    with pytest.raises(ValueError), Steps(out).step("boot Xen", tmp_path / "none"):
        raise ValueError
    assert out.getvalue().count("\n") == 1


def test_an_interrupted_step_shows_no_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a line\n")
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Steps(out).step("boot Xen", log):
        raise KeyboardInterrupt
    assert re.fullmatch(r"boot Xen \.+ interrupted after \d+\.\d s\n", out.getvalue())


def test_quiet_steps_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Quiet()
    with steps.step("boot Xen"):
        steps.say("hello")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
