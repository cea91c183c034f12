"""What pyxl itself sets in a guest's config."""

import json

import pytest

from pyxl.errors import UsageError
from pyxl.formats.guest_config import GuestConfig

FRONT = "/usr/local/libexec/pyxl/pyxl-qemu-dm"


def config(guest_type: str = "hvm", **build: object) -> GuestConfig:
    document = {"c_info": {"name": "web1", "type": guest_type}, "b_info": build}
    return GuestConfig(json.dumps(document), "test")


def device_model(config: GuestConfig) -> object:
    return json.loads(config.to_json())["b_info"].get("device_model")


def test_a_front_is_put_before_qemu_and_taken_away_again() -> None:
    guest = config()
    guest.use_device_model(FRONT)
    assert device_model(guest) == FRONT
    guest.use_own_device_model("pyxl-qemu-dm")
    assert device_model(guest) is None


def test_a_front_that_stands_elsewhere_now_is_found() -> None:
    guest = config(device_model="/opt/old/pyxl-qemu-dm")
    guest.use_device_model(FRONT)
    assert device_model(guest) == FRONT


def test_another_device_model_of_the_user_s_is_kept() -> None:
    guest = config(device_model="/opt/my-qemu")
    guest.use_own_device_model("pyxl-qemu-dm")
    assert device_model(guest) == "/opt/my-qemu"
    with pytest.raises(UsageError, match=r'"web1" has a device model of its own already: .*"/opt/my-qemu"'):
        guest.use_device_model(FRONT)


def test_a_guest_without_a_device_model_gets_no_front() -> None:
    with pytest.raises(UsageError, match='"web1" is a pvh guest'):
        config("pvh").use_device_model(FRONT)
