"""A guest's device model behind each driver, with a fake qemu at the end of both."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.dm import open_dm
from pyxl.dm.agent import Front
from pyxl.model import paths
from pyxl.model.ports import DeviceModel
from tests.fakes.host import FakeStore, running, web1
from tests.fakes.qemu import Qemu

ROOT = paths.device_model(7, 0)


class Guest:
    """Domain 7 with its qemu, and what its driver leaves behind."""

    def __init__(self, directory: Path, qemu: Qemu, store: FakeStore) -> None:
        self.directory = directory
        self.qemu = qemu
        self.store = store

    def model(self) -> DeviceModel:
        model = open_dm(running(), self.store)
        assert model is not None
        return model

    def asked(self) -> list[str]:
        """Return the commands that qemu got, without those that every session sends."""
        return [name for name in self.qemu.commands if name not in ("qmp_capabilities", "add-fd", "remove-fd")]

    def left_behind(self) -> list[str]:
        """Return the files and keys that may exist only during a command."""
        files = [path.name for path in self.directory.iterdir() if path.name in ("lock", "qemu-save")]
        return files + [key for key in ("command", "error", "size", "logdirty/cmd", "logdirty/ret") if f"{ROOT}/{key}" in self.store.nodes]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "qmp_socket", lambda domid: str(tmp_path / "qmp"))
    monkeypatch.setattr(paths, "qmp_lock", lambda domid, uuid: str(tmp_path / "lock"))
    monkeypatch.setattr(paths, "device_model_log", lambda name: str(tmp_path / "qemu.log"))
    monkeypatch.setattr(paths, "device_model_save", lambda domid: str(tmp_path / "qemu-save"))
    (tmp_path / "qemu.log").write_text("first\nqemu: terminating on signal 9\n")
    return tmp_path


@pytest.fixture
def over_qmp(directory: Path) -> Guest:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "qmp"))
    listener.listen()
    qemu = Qemu(listener=listener)
    qemu.start()
    return Guest(directory, qemu, FakeStore(web1()))


@pytest.fixture
def over_xenstore(directory: Path) -> Guest:
    """The real pyxl-qemu-dm, which looks at its keys each time the driver waits."""
    ours, theirs = socket.socketpair()
    qemu = Qemu(client=theirs)
    qemu.start()
    store = FakeStore({**web1(), paths.device_model_control(7, 0): "xenstore", f"{ROOT}/state": "running"})
    front = Front(store, ours, 7, 0)
    front.start()

    def look() -> None:
        try:
            front.look()
        except ConnectionError:  # its main loop ends here too, when qemu is gone
            store.on_wait = lambda: None

    store.on_wait = look
    return Guest(directory, qemu, store)


@pytest.fixture(params=["qmp", "xenstore"])
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    guest: Guest = request.getfixturevalue(f"over_{request.param}")
    yield guest
    assert guest.left_behind() == []
