"""The last words of a guest: out of the file that changed last, short, and without what commands a terminal."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.ops.console import last_words
from tests.fakes.host import CONFIG


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where xenconsoled would keep the guest's PV console."""
    monkeypatch.setattr(paths, "console_log", lambda name: str(tmp_path / f"guest-{name}.log"))
    return tmp_path / "guest-web1.log"


def guest(*serials: str) -> GuestConfig:
    config: dict[str, Any] = json.loads(json.dumps(CONFIG))
    config["b_info"]["type.hvm"] = {"serial_list": list(serials)}
    return GuestConfig(json.dumps(config), "domain 7")


def test_a_guest_without_a_file_said_nothing(log: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    assert last_words(guest()) == ""
    assert last_words(guest("pty", *(f"file:{tmp_path / name}" for name in ("pipe", "empty", "missing")))) == ""


def test_the_last_lines_without_escapes(log: Path) -> None:
    lines = b"".join(b"\x1b[1mline %d\x1b[0m\r\n" % number for number in range(2000))
    log.write_bytes(lines + b"Freezing of tasks failed after 20.0 seconds\r\n\r\ntask:dd state:D\n" + b"x" * 300)
    assert last_words(guest()).split("\n") == [
        f"{log} ends with:", "  line 1998", "  line 1999", "  Freezing of tasks failed after 20.0 seconds",
        "  task:dd state:D", "  " + "x" * 200,
    ]  # fmt: skip


def test_of_two_files_the_one_that_changed_last(log: Path, tmp_path: Path) -> None:
    serial = tmp_path / "serial.log"
    log.write_text("long ago\n")
    serial.write_text("now\n")
    os.utime(log, (1, 1))
    assert last_words(guest("pty", f"file:{serial}")) == f"{serial} ends with:\n  now"
