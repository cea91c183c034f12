"""Memory for a new domain: what dom0 gives, when, and that it gets back what no domain took."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Entry
from pyxl.checkpoint.undo import Undo
from pyxl.errors import OperationError, PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.domain import DomainInfo
from pyxl.model.phases import Phase
from pyxl.model.ports import Store
from pyxl.model.report import Report
from pyxl.ops import room, xl_conf
from pyxl.ops.create import create
from pyxl.ops.settle import settle
from tests.fakes.host import UUID, FakeStore, FakeXen
from tests.ops.test_restore import config_with

NEEDED = 131072 + 2048


def no_dm(domain: DomainInfo, store: Store) -> None:
    """A host whose guests have no device model."""


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def xen(calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeXen:
    """A host that has 2 MiB free, and a dom0 that gives as much as it is asked for."""
    monkeypatch.setattr(xl_conf, "read", lambda: {"lockfile": str(tmp_path / "lock")})
    monkeypatch.setattr(room, "_available_kb", lambda: 1 << 20)
    monkeypatch.setattr(room, "GIVING_SECONDS", 0.2)
    host = FakeXen(calls)
    host.free_kb = 2048
    host.xen_options = "placeholder loglvl=all"
    return host


def build(xen: FakeXen) -> int:
    return create(xen, FakeStore({}), no_dm, config_with(lambda _: None), Report())


def test_dom0_gives_what_is_missing(xen: FakeXen, calls: list[str]) -> None:
    assert build(xen) == 8
    assert calls == [f"grow_dom0 {2048 - NEEDED}", "create web1", "unpause 8"]


def test_dom0_is_left_alone_where_there_is_room(xen: FakeXen, calls: list[str]) -> None:
    xen.free_kb = NEEDED
    assert build(xen) == 8
    assert calls == ["create web1", "unpause 8"]


def test_dom0_gets_back_what_no_domain_took(xen: FakeXen, calls: list[str]) -> None:
    xen.fail = {"create"}
    with pytest.raises(OperationError, match=r"build: create: .*; 128 MiB given back to dom0$"):
        build(xen)
    assert calls == [f"grow_dom0 {2048 - NEEDED}", "create web1", f"grow_dom0 {NEEDED - 2048}"]


def test_a_dom0_that_stops_giving_gets_all_back(xen: FakeXen, calls: list[str]) -> None:
    xen.dom0_gives_kb = 64 << 10
    with pytest.raises(OperationError, match=r"make room: dom0 gave only 64 of the 128 MiB .*; 128 MiB given back"):
        build(xen)
    assert calls == [f"grow_dom0 {2048 - NEEDED}", f"grow_dom0 {NEEDED - 2048}"]


def test_dom0_keeps_what_it_needs_itself(xen: FakeXen, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_available_kb", lambda: room.DOM0_KEEPS_KB + (100 << 10))
    said = "preflight: the guest needs 130 MiB of memory, Xen has 2 MiB free, and dom0 can give 100 MiB of its own"
    with pytest.raises(OperationError, match=said):
        build(xen)
    assert calls == []


@pytest.mark.parametrize(
    ("option", "xen_options", "gives"),
    [
        ("auto", "loglvl=all", True), ("auto", "dom0_mem=1536M,max:1536M console=com1", False),
        ("auto", "console=com1 dom0_mem=max:2g", False), ("auto", "no-dom0_mem=1G", True), ("auto", "dom0_mem=", True),
        ("on", "dom0_mem=1G", True), ("1", "dom0_mem=1G", True), ("off", "", False), ("0", "", False),
    ],
)  # fmt: skip
def test_when_dom0_gives(xen: FakeXen, option: str, xen_options: str, gives: bool) -> None:
    xen.xen_options = xen_options
    assert room.dom0_gives(option, xen) is gives


def test_two_domains_are_not_built_at_once(xen: FakeXen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOCK_SECONDS", 0.2)
    lock = tmp_path / "lock"
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('.', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:  # fmt: skip
        assert other.stdout is not None and other.stdout.readline() == b".\n"
        with pytest.raises(OperationError, match="another toolstack has built domains for an hour, by its lock"):
            build(xen)
        other.communicate(b"\n")
    assert build(xen) == 8
    with lock.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_room_of_a_creation_that_died_is_given_back(xen: FakeXen, calls: list[str]) -> None:
    entry = Entry("create", UUID, "web1", os.getpid(), 0, phase=Phase.BUILD.name, room=1 << 20)
    assert settle(xen, FakeStore({}), no_dm, entry) == ["1024 MiB given back to dom0"]
    xen.fail = {"grow_dom0"}
    assert "dom0 did not take back 1024 MiB" in settle(xen, FakeStore({}), no_dm, entry)[0]


def test_without_room_and_without_autoballoon(xen: FakeXen) -> None:
    xen.xen_options = "dom0_mem=1G"
    config: GuestConfig = config_with(lambda _: None)
    with (
        pytest.raises(PyxlError, match=r"the guest needs 130 MiB of memory, Xen has 2 MiB free$") as caught,
        room.room_for(xen, Undo("x"), config, Report()),
    ):
        pass
    assert "autoballoon" in caught.value.hint


def test_xl_conf_as_debian_delivers_it_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "xl.conf"
    assert xl_conf.read(file) == {}
    file.write_text('## Global XL config file ##\n\n#autoballoon="auto"\n')
    assert xl_conf.read(file) == {}
    file.write_text('autoballoon=1\nlockfile="/run/lock/xl"\n')
    assert xl_conf.read(file) == {"autoballoon": "1", "lockfile": "/run/lock/xl"}
