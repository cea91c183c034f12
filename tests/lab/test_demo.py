"""The demo's verdict, and that it passes or fails for the right reasons; a table answers for dom0."""

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import LabError, LabLost
from pyxl.lab.demo import Demo, Tick, listed, parse_tick, verdict
from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps

HASH = "54cc39c006fbd70c2ccdf26145ad9d4f"
HEAD = "Name      ID   Mem VCPUs\tState\tTime(s)\nDomain-0   0  1536     2     r-----    573.6\n"


def line(counter: int, digest: str = HASH) -> str:
    return f"tick {counter} hash {digest} up 46.68 dirty 0\n"


class Answers(Lab):
    """A lab whose dom0 answers from a table; the ticks come one after another."""

    def __init__(self, cache: Path, ticks: list[str], lists: list[str], status: dict[str, int] | None = None) -> None:
        super().__init__("one", cache=cache)
        self.ticks, self.lists, self.failing = ticks, lists, status or {}
        self.typed: list[str] = []

    def reset(self) -> None:
        self.typed.append("reset")

    def push(self, tree: Path) -> int:
        self.typed.append("push")
        return 1

    def exec(self, command: str | Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        text = str(command).removeprefix("{ ").removesuffix("\n} 2>&1")
        self.typed.append(text)
        answer = ""
        if text == "guestctl tick demo":
            answer = self.ticks.pop(0)
        elif text == "pyxl list":
            answer = self.lists.pop(0)
        status = next((status for start, status in self.failing.items() if text.startswith(start)), 0)
        return subprocess.CompletedProcess([], status, answer.encode(), b"")


THERE = HEAD + "demo       5   128     1     -b----      3.1\n"


def run_with(lab: Answers) -> str:
    out = io.StringIO()
    Demo(lab, Steps(out)).run(Path("tree"))
    return out.getvalue()


def test_a_guest_that_goes_on_passes_and_every_command_is_shown(tmp_path: Path) -> None:
    lab = Answers(tmp_path, [line(7), line(9)], [THERE, HEAD, THERE])
    text = run_with(lab)
    commands = ["pyxl create /root/demo.cfg", "pyxl save demo /root/demo.xl", "pyxl restore /root/demo.xl"]
    assert [typed for typed in lab.typed if typed.split()[:2] in [each.split()[:2] for each in commands]] == commands
    assert all(f"dom0# {command}\n" in text for command in commands)
    assert "counter 7 before, 9 after" in text


@pytest.mark.parametrize(
    ("ticks", "lists", "message"),
    [
        ([line(7), line(9, "0" * 32)], [THERE, HEAD, THERE], "memory is not what it was"),
        ([line(7), line(2)], [THERE, HEAD, THERE], "did not go on: counter 7 before, 2 after"),
        ([line(7), line(9)], [THERE, THERE, THERE], "still there after its save"),
        ([line(7), line(9)], [THERE, HEAD, HEAD], "not there after its restore"),
    ],
)
def test_a_guest_that_does_not_fails(tmp_path: Path, ticks: list[str], lists: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message) as caught:
        run_with(Answers(tmp_path, ticks, lists))
    assert not isinstance(caught.value, LabLost)


def test_a_command_that_fails_is_named_with_its_status(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"status 4 from: pyxl restore /root/demo\.xl"):
        run_with(Answers(tmp_path, [line(7), line(9)], [THERE, HEAD, THERE], {"pyxl restore": 4}))


def test_a_guest_that_never_booted_is_a_lost_lab(tmp_path: Path) -> None:
    with pytest.raises(LabLost, match="never came up"):
        run_with(Answers(tmp_path, [], [], {"guestctl tick demo --timeout": 1}))


def test_ticks() -> None:
    assert parse_tick(line(12)) == Tick(12, HASH)
    with pytest.raises(LabError, match="not a tick"):
        parse_tick("tick 1 hash 54cc up 3 dirty 0")
    assert verdict(Tick(1, HASH), Tick(2, HASH)) == ""
    assert "did not go on" in verdict(Tick(1, HASH), Tick(1, HASH))


def test_listed_means_that_very_name() -> None:
    assert listed(THERE)
    assert not listed(HEAD + "demo2      5   128     1     -b----      3.1\n")
