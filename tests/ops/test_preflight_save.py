"""Every refusal of a save: its message, its remedy, and that nothing was touched."""

import json

import pytest

from pyxl.errors import DeviceModelError, PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import ShutdownReason
from pyxl.ops import suspend
from pyxl.ops.preflight_save import (
    can_be_saved,
    device_model_can_save,
    keeps_topology,
    nothing_added_late,
    nothing_passed_through,
)  # fmt: skip
from tests.fakes.host import CONFIG, FakeDeviceModel, FakeStore, FakeXen, running, web1

REQUEST = paths.control_shutdown(7)
ACPI_S_STATE = 14
ABLE = paths.control_feature(7, "suspend")
FRONT = f"{paths.domain(7)}/device/vbd/832/state"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore({**web1(), ABLE: "1"})


def remarks(store: FakeStore, pv_drivers: bool = True, sleeps: bool = False, **domain: object) -> list[str]:
    xen = FakeXen([], running())
    xen.params = {suspend.PARAM_CALLBACK_IRQ: int(pv_drivers), ACPI_S_STATE: 3 * sleeps}
    before = dict(store.nodes)
    try:
        return can_be_saved(xen, store, running()._replace(**domain))  # type: ignore[arg-type]
    finally:
        assert (xen.calls, store.nodes) == ([], before)


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        ({"dying": True}, "is being destroyed", ""),
        ({"shutdown_reason": ShutdownReason.SUSPEND}, "suspended already", "pyxl recover"),
        ({"shutdown_reason": ShutdownReason.POWEROFF}, r"has shut down \(poweroff\)", ""),
        ({"shutdown_reason": 9}, r"has shut down \(9\)", ""),
        ({"paused": True}, "the domain is paused", "pyxl unpause 7"),
        ({"debugged": True}, "a debugger is attached", "Detach it"),
    ],
)
def test_a_domain_in_no_state_to_be_saved(
    store: FakeStore, change: dict[str, object], said: str, remedy: str
) -> None:
    with pytest.raises(PyxlError, match=said) as caught:
        remarks(store, **change)  # type: ignore[arg-type]
    assert remedy in caught.value.hint


@pytest.mark.parametrize("pv_drivers", [True, False])
def test_a_guest_that_sleeps(store: FakeStore, pv_drivers: bool) -> None:
    with pytest.raises(PyxlError, match=r"the guest sleeps \(ACPI S3\)") as caught:
        remarks(store, pv_drivers, sleeps=True)
    assert "`pyxl trigger 7 s3resume`" in caught.value.hint


@pytest.mark.parametrize(
    ("node", "value", "said", "remedy"),
    [
        (REQUEST, "reboot", 'was asked for "reboot" already', f"xenstore-write {REQUEST} ''"),
        (REQUEST, "suspend", 'was asked for "suspend" already', "withdraws it"),
        (ABLE, "0", "say that it cannot suspend", "need an update"),
    ],
)
def test_pv_drivers_that_would_not_suspend(
    store: FakeStore, node: str, value: str, said: str, remedy: str
) -> None:
    store.write(node, value)
    with pytest.raises(PyxlError, match=said) as caught:
        remarks(store)
    assert remedy in caught.value.hint
    assert remarks(store, pv_drivers=False) == []  # a hypercall suspends it, whatever xenstore says


def test_a_doubt_is_a_remark(store: FakeStore) -> None:
    assert remarks(store) == []
    store.write(ABLE, "")
    assert remarks(store) == ["the guest does not say whether it can suspend; it may still be booting"]
    store.nodes |= {ABLE: "1", FRONT: "5", FRONT.replace("832", "768"): "4"}
    assert remarks(store) == ["vbd 832 is being detached; the restored guest may have it again"]


def config(**devices: object) -> GuestConfig:
    return GuestConfig(json.dumps({**CONFIG, **devices}), "test")


def test_devices_passed_through_are_named() -> None:
    guest = config(pcidevs=[{"bus": 3, "dev": 31, "func": 7}], usbdevs=[{"ctrl": 0, "port": 1}])
    with pytest.raises(PyxlError, match=r"for itself.*: PCI 0000:03:1f\.7, USB 0\.1") as caught:
        nothing_passed_through(guest)
    assert "xl pci-detach" in caught.value.hint
    nothing_passed_through(config())


def test_a_topology_that_would_be_lost() -> None:
    keeps_topology(config())
    with pytest.raises(PyxlError, match="a NUMA topology of its own"):
        keeps_topology(config(b_info=CONFIG["b_info"] | {"vnuma_nodes": [{"memkb": 65536}]}))  # type: ignore[operator]


def test_a_device_model_that_cannot_be_saved() -> None:
    model = FakeDeviceModel([])
    device_model_can_save(model)
    device_model_can_save(None)
    model.blocked = ["non-migratable device: nvme", "and another"]
    with pytest.raises(PyxlError, match="cannot save its state: non-migratable device: nvme; and another") as caught:
        device_model_can_save(model)
    assert "out of the guest's config" in caught.value.hint


def test_a_device_model_that_does_not_answer() -> None:
    model = FakeDeviceModel([])
    model.fail = {"dm.blockers"}
    with pytest.raises(DeviceModelError, match="query-migrate: timed out") as caught:
        device_model_can_save(model)
    assert "kill -CONT" in caught.value.hint


@pytest.mark.parametrize(
    ("guest", "controller", "refused"),
    [
        ("hvm", {"type": "devicemodel", "devid": 1}, True), ("hvm", {"devid": 1}, True),
        ("hvm", {"type": "qusb", "devid": 1}, False), ("pv", {"devid": 1}, False),
    ],
)  # fmt: skip
def test_a_controller_that_the_device_model_gets_late(guest: str, controller: dict[str, object], refused: bool) -> None:
    document = {**CONFIG, "c_info": {**CONFIG["c_info"], "type": guest}, "usbctrls": [controller]}  # type: ignore[dict-item]
    config = GuestConfig(json.dumps(document), "test")
    if not refused:
        nothing_added_late(config)
        return
    with pytest.raises(PyxlError, match=r"no restore can give the guest back .*: usbctrl 1$"):
        nothing_added_late(config)
