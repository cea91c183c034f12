"""How a guest's monitor is started, and what it says where it cannot work."""

import os
import sys
from pathlib import Path

import pytest

from pyxl.ops.monitor_run import command, in_background

SAY_ALL = "import os; print(os.getsid(0) == os.getpid(), os.read(0, 1))"


def test_it_has_a_session_and_streams_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    pid = in_background([sys.executable, "-c", SAY_ALL], str(tmp_path / "log"))
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "log").read_text() == "before\nTrue b''\n"


def test_it_starts_without_a_log(tmp_path: Path) -> None:
    pid = in_background([sys.executable, "-c", "print('said')"], str(tmp_path / "no" / "log"))
    assert os.waitpid(pid, 0)[1] == 0


def test_that_it_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        in_background([str(tmp_path / "nothing")], str(tmp_path / "log"))


def test_a_monitor_without_xen_says_so_in_its_log(tmp_path: Path) -> None:
    pid = in_background(command(7, "6b1d9b2e-0000-4000-8000-000000000001", "web1"), str(tmp_path / "log"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert (tmp_path / "log").read_text().startswith("pyxl-monitor: this machine is not a Xen host")
