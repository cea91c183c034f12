"""QEMU's monitor, over a real socket."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import LabError, LabLost
from pyxl.lab.machine import Machine
from pyxl.lab.recipe import SOCKET

GREETING: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}
EVENT: dict[str, Any] = {"event": "STOP", "timestamp": {}}


class Peer:
    """Answers each line that it reads with the next of ``replies``, then hangs up."""

    def __init__(self, path: Path, replies: list[list[dict[str, Any]]]) -> None:
        self.heard: list[dict[str, Any]] = []
        self.replies = replies
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(10)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(GREETING).encode() + b"\n")
            stream.flush()
            for reply in self.replies:
                self.heard.append(json.loads(stream.readline()))
                for message in reply:
                    stream.write(json.dumps(message).encode() + b"\n")
                stream.flush()

    def end(self) -> list[dict[str, Any]]:
        self.thread.join(10)
        self.listener.close()
        return self.heard


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory whose path is longer than a socket's address can be."""
    path = tmp_path.joinpath(*["a-cache-directory-with-a-long-name"] * 4)
    path.mkdir(parents=True)
    yield path


def peer(directory: Path, monkeypatch: pytest.MonkeyPatch, replies: list[list[dict[str, Any]]]) -> Peer:
    monkeypatch.chdir(directory)
    return Peer(Path(SOCKET), replies)


def test_a_command_is_sent_after_the_capabilities_and_events_are_passed_over(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = peer(deep, monkeypatch, [[{"return": {}}], [EVENT, {"return": ""}]])
    assert Machine(deep).monitor(["savevm", "ready"]) == ""
    assert other.end() == [
        {"execute": "qmp_capabilities", "arguments": {}},
        {"execute": "human-monitor-command", "arguments": {"command-line": "savevm ready"}},
    ]


def test_what_the_human_monitor_prints_is_an_answer(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = peer(deep, monkeypatch, [[{"return": {}}], [{"return": "Error: no space\r\n"}]])
    assert Machine(deep).monitor(["savevm", "ready"]) == "Error: no space"
    other.end()


def test_a_refusal_carries_qemus_words(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"error": {"class": "CommandNotFound", "desc": "The command fly has not been found"}}
    other = peer(deep, monkeypatch, [[{"return": {}}], [refusal]])
    with pytest.raises(LabError, match="QEMU refused fly: The command fly has not been found"):
        Machine(deep).execute("fly")
    other.end()


def test_a_monitor_that_hangs_up_is_a_lost_lab(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = peer(deep, monkeypatch, [[{"return": {}}], [EVENT]])
    with pytest.raises(LabLost, match="hung up"):
        Machine(deep).monitor(["loadvm", "ready"])
    other.end()
