"""The settings of a guest's config that pyxl changes."""

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


@pytest.mark.parametrize("uuid", ["../../../etc/cron.d/x", "6b1d9b2e", "6b1d9b2e-0000-4000-8000-00000000000g", 7, None, ["x"]])
def test_a_uuid_that_is_none_is_refused(uuid: object) -> None:
    document = {"c_info": {"name": "web1", "uuid": uuid}, "b_info": {}}
    with pytest.raises(UsageError, match="a uuid that is none"):
        GuestConfig(json.dumps(document), "test")


def test_a_uuid_is_in_lower_case() -> None:
    upper = "6B1D9B2E-0000-4000-8000-00000000000A"
    document = {"c_info": {"name": "web1", "uuid": upper}, "b_info": {}}
    assert GuestConfig(json.dumps(document), "test").uuid == upper.lower()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"c_info": {"name": "web1"}, "b_info": ' + '{"a":' * 100_000,
        '{"c_info": {"name": "web1"}, "b_info": {"max_memkb": ' + "9" * 10_000 + "}}",
        '{"c_info": {"name": ["web1"]}, "b_info": {}}',
        '{"c_info": {"name": ""}, "b_info": {}}',
        '{"c_info": [], "b_info": {}}',
        "\x00",
    ],
)
def test_a_config_that_no_libxl_writes_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="test: the guest's config"):
        GuestConfig(text, "test")


