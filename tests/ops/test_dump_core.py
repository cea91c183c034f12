"""The guest of a core stands still meanwhile, and goes on whatever happens; the core takes its name when it is whole."""

import resource
import threading
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Entry, Journal
from pyxl.errors import OperationError, XenError
from pyxl.model.phases import Phase
from pyxl.model.report import Report
from pyxl.ops import dump_core
from pyxl.ops.settle import settle
from tests.fakes.host import UUID, FakeStore, FakeXen, running, web1


class Writing(FakeXen):
    """Writes a core as libxc does: opens a path anew, and fails where a file may not grow."""

    may_end: threading.Event | None = None

    def core_dump(self, domid: int, path: str) -> None:
        with open(path, "r+b", buffering=0) as file:
            file.write(b"\x7fELF")
            while self.may_end is not None and not self.may_end.wait(0.01):
                try:
                    file.write(b"more")
                except OSError as error:
                    raise XenError("core_dump", error.errno or 0) from error
        super().core_dump(domid, path)


class Guest:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.xen = Writing(self.calls, running())
        self.store = FakeStore(web1())


@pytest.fixture
def guest() -> Guest:
    return Guest()


def dump(guest: Guest, target: Path) -> int:
    return dump_core.dump_core(guest.xen, guest.store, lambda *_: None, running(), target, Report())


def test_the_guest_of_a_core_is_paused_meanwhile(guest: Guest, tmp_path: Path) -> None:
    assert dump(guest, tmp_path / "core") == 4
    assert guest.calls == ["pause 7", "core_dump 7", "unpause 7"]
    assert [path.name for path in tmp_path.iterdir()] == ["core"]


def test_a_guest_that_was_paused_stays_so(guest: Guest, tmp_path: Path) -> None:
    guest.xen.all[7] = running()._replace(paused=True)
    dump(guest, tmp_path / "core")
    assert guest.calls == ["core_dump 7"]


def test_a_core_that_fails_leaves_the_old_one_and_the_guest_running(
    guest: Guest, tmp_path: Path, journals: Path
) -> None:
    (tmp_path / "core").write_text("old")
    guest.xen.fail = {"core_dump"}
    said = r'^dump-core 7 "web1": dump: core_dump: Input/output error; guest unpaused, nothing written$'
    with pytest.raises(OperationError, match=said):
        dump(guest, tmp_path / "core")
    assert guest.calls[-1] == "unpause 7"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("core", "old")]
    assert list(journals.iterdir()) == []


def test_an_interrupt_ends_a_core_and_its_guest_goes_on(
    guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest.xen.may_end = threading.Event()

    def interrupted(self: Report, done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Report, "progress", interrupted)
    monkeypatch.setattr(dump_core, "_LOOK_SECONDS", 0.05)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OperationError, match=r"dump: interrupted; guest unpaused, nothing written"):
        dump(guest, tmp_path / "core")
    assert guest.calls == ["pause 7", "unpause 7"]
    assert list(tmp_path.iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


@pytest.mark.parametrize(("after", "calls"), [("RESUME", ["unpause 7"]), ("PAUSE", [])])
def test_who_finds_a_dead_dump_lets_its_guest_go_on(guest: Guest, tmp_path: Path, after: str, calls: list[str]) -> None:
    temporary = tmp_path / ".core.4711.new"
    temporary.touch()
    guest.xen.all[7] = running()._replace(paused=True)
    entry = Entry("dump-core", UUID, "web1", 4711, 0, Phase.DUMP.name, 7, str(tmp_path / "core"), after=after)
    settle(guest.xen, guest.store, lambda *_: None, entry)
    assert guest.calls == calls
    assert not temporary.exists()


def test_a_core_does_not_go_onto_a_domain_s_disk(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a.raw").touch()
    guest.store.nodes["/local/domain/0/backend/qdisk/7/51712/params"] = f"aio:{tmp_path}/a.raw"
    with pytest.raises(OperationError, match=r"a\.raw is a disk of domain 7"):
        dump(guest, tmp_path / "a.raw")
    assert guest.calls == []


def test_no_core_of_a_guest_that_is_being_saved(guest: Guest, tmp_path: Path) -> None:
    with Journal("save", UUID, "web1"), pytest.raises(OperationError, match=r'preflight: a save of "web1" .* in progress'):
        dump(guest, tmp_path / "core")
    assert guest.calls == []
