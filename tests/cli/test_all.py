"""save-all and restore-all without Xen: what they say, and which options a save of one guest gets."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyxl.cli import all_text, app, restore_all, save_all, wiring
from pyxl.ops.children import INTERRUPTED, TIME_IS_UP
from pyxl.ops.outcomes import FAILED, LEFT, RESTORED, SAVED, SHUT_DOWN, Outcome, Tally

UUID = "00000000-0000-4000-8000-000000000001"
GUESTS = (
    Outcome("web1", UUID, 5, SAVED, file="/srv/guests/x", size=128 << 20, stored=30 << 20, seconds=2.4),
    Outcome("web2", UUID, 6, SHUT_DOWN, "it has devices of this host"),
)


def tally(*outcomes: Outcome, stopped: str = "", told: bool = True) -> Tally:
    result = Tally(Path("/srv/guests"), all_text.line if told else all_text.nothing)
    for each in outcomes:
        result.add(each)
    result.stopped, result.seconds = stopped, 3.21
    return result


def test_a_line_a_guest_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert all_text.end(tally(*GUESTS), as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        'saved 5 "web1": 128 MiB in 2.4 s',
        'shut down 6 "web2": it has devices of this host',
        "/srv/guests: 1 saved, 1 shut down; 128 MiB in 3.2 s",
    ]


@pytest.mark.parametrize(("stopped", "status"), [("", 1), (TIME_IS_UP, 1), (INTERRUPTED, 130)])
def test_what_failed_is_said_on_stderr(capsys: pytest.CaptureFixture[str], stopped: str, status: int) -> None:
    failed = Outcome("web\x1b3", UUID, 7, LEFT, "save 7: disk: it burns")
    assert all_text.end(tally(GUESTS[0], failed, stopped=stopped), as_json=False) == status
    said = ['pyxl: 7 "web?3" is left as it is: save 7: disk: it burns', f"pyxl: {stopped}"]
    assert capsys.readouterr().err.splitlines() == said[: 1 + bool(stopped)]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert all_text.end(tally(*GUESTS, told=False), as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["directory"], said["stopped"]) == ("/srv/guests", "")
    assert [each["outcome"] for each in said["guests"]] == [SAVED, SHUT_DOWN]


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert all_text.end(tally(), as_json=False) == 0
    assert capsys.readouterr().out == "/srv/guests: no guests; 0 B in 3.2 s\n"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Take note of what is asked of the operations."""
    orders: list[Any] = []

    @contextmanager
    def on_host(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(xen=SimpleNamespace(cpu_nodes=lambda: [0]), store=None)

    def saved(*arguments: object) -> Tally:
        orders.append(arguments[4])
        return tally(Outcome("web1", UUID, 5, SAVED))

    def restored(*arguments: object) -> Tally:
        orders.append(arguments[3])
        return tally(Outcome("web1", UUID, 5, RESTORED), Outcome("web2", UUID, 0, FAILED))

    monkeypatch.setattr(wiring, "on_host", on_host)
    monkeypatch.setattr(save_all, "save_all", saved)
    monkeypatch.setattr(restore_all, "restore_all", restored)
    return orders


def test_a_save_of_each_has_the_options_of_all(asked: list[Any], tmp_path: Path) -> None:
    words = ["--live", "--compress", "--threads", "3", "--force", "--order", "fw, db", "--timeout", "60"]
    assert app.run(["save-all", *words, str(tmp_path / "guests")]) == 0
    (order,) = asked
    assert order.options == ("--live", "--force", "--compress=auto", "--threads=3")
    assert (order.order, order.all_seconds, order.compressed, order.force) == (("fw", "db"), 60, True, True)
    assert not order.shutdown_instead


def test_configs_that_are_to_be_started_are_known_by_their_guests(asked: list[Any], tmp_path: Path) -> None:
    auto = tmp_path / "auto"
    auto.mkdir()
    (auto / "10-web").write_text('name = "web7"\ntype = "hvm"\nmemory = 64\n')
    (auto / "20-bad").write_text("name = [")
    (auto / ".hidden").touch()
    assert app.run(["restore-all", "--auto", str(auto), str(tmp_path / "guests")]) == 1
    assert asked[0].auto == (("web7", auto / "10-web"), ("20-bad", auto / "20-bad"))
    assert app.run(["restore-all", "--auto", str(tmp_path / "none"), str(tmp_path / "guests")]) == 1


def test_a_config_may_be_libxls_json(tmp_path: Path) -> None:
    file = tmp_path / "web1.json"
    file.write_text(json.dumps({"c_info": {"name": "web1", "uuid": UUID}, "b_info": {}}))
    assert wiring.guest_config(file).uuid == UUID
