"""`pyxl checkpoint` for all guests, or again and again, without Xen: what is started, and how it ends."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyxl.cli import app, series
from tests.cli.test_cli import pyxl


class Ended(Exception):
    """The time for which a series sleeps has come."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Take note of each checkpoint's command line; that of the guest `bad` fails, and a series ends after the third."""
    lines: list[list[str]] = []

    class Child:
        def __init__(self, line: Sequence[str]) -> None:
            lines.append(list(line[4:]))

        def wait(self) -> int:
            return int("bad" in lines[-1])

    def sleep(seconds: float) -> None:
        assert seconds >= 0
        if len(lines) == 3:
            raise Ended

    monkeypatch.setattr("pyxl.cli.series.subprocess.Popen", Child)
    monkeypatch.setattr("pyxl.cli.series.time.sleep", sleep)
    monkeypatch.setattr(series, "_guests", lambda _: [("3", "good"), ("bad", "worse"), ("5", "other")])
    return lines


def test_a_series_is_made_of_single_checkpoints(made: list[list[str]]) -> None:
    with pytest.raises(Ended):
        app.run(["checkpoint", "--every", "10m", "--keep", "last=3", "--full", "web1", "/srv/checkpoints"])
    assert made == [["checkpoint", "--keep", "last=3", "--full", "--", "web1", "/srv/checkpoints"]] * 3


def test_one_that_fails_is_told_and_the_next_is_made(made: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Ended):
        app.run(["checkpoint", "--every", "1h", "bad", "/srv/checkpoints"])
    assert len(made) == 3
    assert capsys.readouterr().err.count("pyxl: the next one is tried at ") == 3


def test_of_all_guests_each_is_tried_and_failures_are_named(
    made: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["checkpoint", "--all", "/srv/checkpoints"]) == 1
    assert [line[-2] for line in made] == ["3", "bad", "5"]
    assert capsys.readouterr().err == "pyxl: no checkpoint was made of worse\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["web1"], "checkpoint takes a DOMAIN and a REPO"),
        (["--all", "web1", "r"], "checkpoint takes a REPO with --init or --all"),
        (["--every", "soon", "web1", "r"], "--every takes a time such as 10m, 6h or 1d, and not 'soon'"),
        (["--keep", "last=", "web1", "r"], "last="),
        (["--compress", "off", "web1", "r"], "what a repository holds is always compressed"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str) -> None:
    result = pyxl("checkpoint", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_init_makes_a_repository_once(tmp_path: Path) -> None:
    for _ in range(2):
        done = pyxl("checkpoint", "--init", str(tmp_path / "new"))
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'new'} is a repository\n")
    (tmp_path / "file").touch()
    refused = pyxl("checkpoint", "--init", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"pyxl: {tmp_path} is no repository, and not empty\n")


def test_a_series_that_is_told_to_end_ends_with_its_checkpoint() -> None:
    """The signal comes while it waits for the next one: without Xen each fails at once."""
    argv = [sys.executable, "-m", "pyxl", "checkpoint", "--every", "1h", "web1", "/nowhere"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while "the next one is tried at" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
