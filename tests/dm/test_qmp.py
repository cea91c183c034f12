"""QMP: the socket, its lock, and which driver a domain gets."""

from pathlib import Path

import pytest

from pyxl.dm import open_dm, qmp
from pyxl.dm.qmp import QmpDeviceModel
from pyxl.dm.xenstore import XenstoreDeviceModel
from pyxl.errors import DeviceModelError
from pyxl.model import paths
from tests.dm.conftest import Guest
from tests.fakes.host import FakeStore, running, web1


def test_a_qemu_that_hangs_up_is_told_with_its_last_words(over_qmp: Guest) -> None:
    over_qmp.qemu.answers["stop"] = None
    with pytest.raises(DeviceModelError, match=r"closed its QMP socket; its log ends: first \| qemu: terminating"):
        over_qmp.model().stop_and_save()


def test_a_qemu_that_is_gone(directory: Path) -> None:
    model = open_dm(running(), FakeStore(web1()))
    assert model is not None
    with pytest.raises(DeviceModelError, match="No such file or directory"):
        model.resume()
    assert not (directory / "lock").exists()


def test_a_silent_qemu_meets_a_deadline(over_qmp: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "ANSWER_DEADLINE", 0.05)
    over_qmp.qemu.answers["xen-set-global-dirty-log"] = {"id": 0}
    with pytest.raises(DeviceModelError, match="timed out"):
        over_qmp.model().log_dirty(True)
    assert over_qmp.left_behind() == []


def test_the_socket_s_lock_is_waited_for_and_then_told(over_qmp: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "LOCK_DEADLINE", 0.0)
    with qmp._locked(over_qmp.directory / "lock", 0.0):
        with pytest.raises(DeviceModelError, match="is held by another process"):
            over_qmp.model().resume()
    over_qmp.model().resume()


CONTROL = paths.device_model_control(7, 0)


def test_which_device_model_a_domain_has_is_read_never_guessed() -> None:
    assert isinstance(open_dm(running(), FakeStore(web1())), QmpDeviceModel)
    assert isinstance(open_dm(running(), FakeStore({**web1(), CONTROL: "xenstore"})), XenstoreDeviceModel)
    traditional = open_dm(running(), FakeStore({**web1(), paths.device_model_version(7): "qemu_xen_traditional"}))
    assert isinstance(traditional, XenstoreDeviceModel) and traditional.emulator_id == 1
    assert open_dm(running(), FakeStore({**web1(), paths.domain_type(7): "pvh"})) is None
    for node, value in ((CONTROL, "smoke signals"), (paths.device_model_version(7), "bochs")):
        with pytest.raises(DeviceModelError, match=value):
            open_dm(running(), FakeStore({**web1(), node: value}))


def test_a_device_model_in_a_stub_domain_is_found_there() -> None:
    nodes = {**web1(), paths.device_model_domid(7): "12", paths.device_model_control(7, 12): "xenstore"}
    nodes[f"{paths.device_model(7, 12)}/physmap/0/size"] = "1000"
    model = open_dm(running(), FakeStore(nodes))
    assert isinstance(model, XenstoreDeviceModel)
    assert model.xenstore_data() == [("physmap/0/size", "1000")]


BLOCKED = {
    "return": {
        "blocked-reasons": [
            "non-migratable device: 0000:00:04.0/nvme",
            "The vpc format used by node '#block1' does not support live migration",
        ]
    }
}


def test_what_blocks_a_save_is_told_but_not_what_blocks_only_a_live_migration(over_qmp: Guest) -> None:
    assert over_qmp.model().blockers() == []
    over_qmp.qemu.answers["query-migrate"] = BLOCKED
    assert over_qmp.model().blockers() == ["non-migratable device: 0000:00:04.0/nvme"]


def test_a_qemu_that_has_not_loaded_its_state_is_not_saved(over_qmp: Guest) -> None:
    over_qmp.qemu.answers["query-status"] = {"return": {"status": "inmigrate"}}
    assert over_qmp.model().blockers() == ["it is still loading the state that it was started with"]


def test_a_silent_qemu_is_not_waited_for_before_a_save(over_qmp: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "READY_DEADLINE", 0.05)
    over_qmp.qemu.answers["query-status"] = {"id": 0}
    with pytest.raises(DeviceModelError, match="query-migrate: timed out"):
        over_qmp.model().blockers()
