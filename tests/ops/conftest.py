"""Journals in a temporary directory, only a brief wait for another's destroy, and the world of a save."""

from pathlib import Path

import pytest

from pyxl.model import paths
from pyxl.model.domain import ShutdownReason
from pyxl.model.phases import After
from pyxl.model.report import Report
from pyxl.ops import destroy, programs
from pyxl.ops.save import Saved, SaveOrder, save
from tests.fakes.host import FakeDeviceModel, FakeStore, FakeXen, running, web1


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("xen") / "pyxl"
    directory.mkdir()
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(directory))
    return directory


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destroy, "OTHER_SECONDS", 0.2)


HELPER = Path(__file__).parent.parent / "fakes" / "save_helper.py"


class World:
    """One guest, and all that a save touches."""

    def __init__(self, directory: Path) -> None:
        self.calls: list[str] = []
        self.xen = FakeXen(self.calls, running())
        self.store = FakeStore(web1())
        self.dm = FakeDeviceModel(self.calls)
        self.target = directory / "checkpoint"
        self.watched: list[int] = []  # by the monitors that were started
        self.store.on_wait = self.guest_suspends

    def guest_suspends(self) -> None:
        if self.store.nodes[paths.control_shutdown(7)] == "suspend":
            self.calls.append("guest suspends")
            self.store.nodes[paths.control_shutdown(7)] = ""
            self.xen.change(7, ShutdownReason.SUSPEND)

    def save(self, after: After = After.DESTROY, **more: object) -> Saved:
        order = SaveOrder(self.xen.all[7], self.target, after, **more)  # type: ignore[arg-type]
        return save(self.xen, self.store, lambda *_: self.dm, order, Report(), self.watched.append)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.target.parent.iterdir())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(programs, "find", lambda name: str(HELPER))
    monkeypatch.delenv("FAKE_HELPER_FAIL", raising=False)
    return World(tmp_path)


