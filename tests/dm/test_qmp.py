"""The QMP driver against a socket that speaks as qemu does, and as it does when something is wrong."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxl.dm import open_dm, qmp
from pyxl.dm.qmp import QmpDeviceModel
from pyxl.errors import DeviceModelError
from pyxl.model import paths
from tests.fakes.host import FakeStore, running, web1


class Qemu(threading.Thread):
    """One QMP client after another; ``answers`` replaces the answer to a command, None hangs up."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.commands: list[str] = []
        self.answers: dict[str, dict[str, Any] | None] = {}
        self.state = b"QEVM\0state"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._fd = -1

    def run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client:
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        client.sendall(b'{"QMP": {"version": {}}}\r\n')
        pending = b""
        while True:
            data, fds, _, _ = socket.recv_fds(client, 4096, 1)
            self._fd = fds[0] if fds else self._fd
            if not data:
                return
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                command = json.loads(line)
                name = command["execute"]
                self.commands.append(name)
                client.sendall(b'{"event": "STOP", "timestamp": {}}\r\n')
                answer = self.answers.get(name, {"return": self._do(name)})
                if answer is None:
                    return
                client.sendall(json.dumps(answer).encode() + b"\r\n")

    def _do(self, name: str) -> dict[str, Any]:
        if name == "add-fd":
            return {"fdset-id": 3}
        if name == "xen-save-devices-state":
            os.write(self._fd, self.state)
            os.close(self._fd)
        return {}


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Qemu]:
    monkeypatch.setattr(paths, "qmp_socket", lambda domid: str(tmp_path / "qmp"))
    monkeypatch.setattr(paths, "qmp_lock", lambda domid, uuid: str(tmp_path / "lock"))
    monkeypatch.setattr(paths, "device_model_log", lambda name: str(tmp_path / "qemu.log"))
    (tmp_path / "qemu.log").write_text("first\nqemu: terminating on signal 9\n")
    thread = Qemu(tmp_path / "qmp")
    thread.start()
    yield thread
    assert not (tmp_path / "lock").exists(), "libxl's lock was left behind"


def model() -> QmpDeviceModel:
    return QmpDeviceModel(running(), FakeStore(web1()))


def test_save_stops_qemu_and_takes_its_state(qemu: Qemu) -> None:
    assert model().stop_and_save() == b"QEVM\0state"
    assert qemu.commands == ["qmp_capabilities", "stop", "add-fd", "xen-save-devices-state"]


def test_resume_and_log_dirty(qemu: Qemu) -> None:
    model().resume()
    model().log_dirty(True)
    assert [name for name in qemu.commands if name != "qmp_capabilities"] == ["cont", "xen-set-global-dirty-log"]


def test_a_refusal_is_told_in_qemu_s_words(qemu: Qemu) -> None:
    qemu.answers["xen-save-devices-state"] = {"error": {"class": "GenericError", "desc": "State blocked by device"}}
    with pytest.raises(DeviceModelError, match="domain 7: xen-save-devices-state: State blocked by device"):
        model().stop_and_save()


def test_an_empty_state_is_no_state(qemu: Qemu) -> None:
    qemu.state = b""
    with pytest.raises(DeviceModelError, match="qemu wrote no state"):
        model().stop_and_save()


def test_a_qemu_that_hangs_up_is_told_with_its_last_words(qemu: Qemu) -> None:
    qemu.answers["stop"] = None
    with pytest.raises(DeviceModelError, match=r"closed its QMP socket; its log ends: first \| qemu: terminating"):
        model().stop_and_save()


def test_a_qemu_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "qmp_socket", lambda domid: str(tmp_path / "nobody"))
    monkeypatch.setattr(paths, "qmp_lock", lambda domid, uuid: str(tmp_path / "lock"))
    with pytest.raises(DeviceModelError, match="No such file or directory"):
        model().resume()
    assert list(tmp_path.iterdir()) == []


def test_a_silent_qemu_meets_a_deadline(qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "LOG_DIRTY_DEADLINE", 0.05)
    qemu.answers["xen-set-global-dirty-log"] = {"event": "NOTHING"}
    with pytest.raises(DeviceModelError, match="timed out"):
        QmpDeviceModel(running(), FakeStore(web1())).log_dirty(True)


def test_the_socket_s_lock_is_waited_for_and_then_told(qemu: Qemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "LOCK_DEADLINE", 0.0)
    with qmp._locked(tmp_path / "lock"):
        with pytest.raises(DeviceModelError, match="is held by another process"):
            model().resume()
    model().resume()


def test_physmap_keys_are_carried_when_they_exist() -> None:
    root = paths.device_model(7)
    store = FakeStore({f"{root}/physmap/a0000/start_addr": "a0000", f"{root}/physmap/a0000/size": "1000"})
    assert QmpDeviceModel(running(), store).xenstore_data() == [
        ("physmap/a0000/start_addr", "a0000"), ("physmap/a0000/size", "1000"),
    ]  # fmt: skip


def test_which_device_model_a_domain_has_is_read_never_guessed() -> None:
    assert isinstance(open_dm(running(), FakeStore(web1())), QmpDeviceModel)
    assert open_dm(running(), FakeStore({**web1(), paths.domain_type(7): "pvh"})) is None
    with pytest.raises(DeviceModelError, match="qemu_xen_traditional is not supported"):
        open_dm(running(), FakeStore({**web1(), paths.device_model_version(7): "qemu_xen_traditional"}))
