"""What both drivers of a device model do, over QMP and over xenstore."""

import pytest

from pyxl.errors import DeviceModelError
from tests.dm.conftest import ROOT, Guest
from tests.fakes.qemu import STATE


def test_save_stops_qemu_and_takes_its_state(guest: Guest) -> None:
    assert guest.model().stop_and_save() == STATE
    assert guest.asked() == ["stop", "xen-save-devices-state"]


def test_a_stopped_device_model_goes_on(guest: Guest) -> None:
    model = guest.model()
    model.stop_and_save()
    model.resume()
    assert guest.asked() == ["stop", "xen-save-devices-state", "cont"]


def test_it_saves_again_after_it_went_on(guest: Guest) -> None:
    for _ in range(2):
        model = guest.model()
        assert model.stop_and_save() == STATE
        model.resume()


def test_one_that_a_dead_save_left_stopped_can_be_saved(guest: Guest) -> None:
    guest.model().stop_and_save()
    assert guest.model().stop_and_save() == STATE


def test_log_dirty_on_and_off(guest: Guest) -> None:
    guest.model().log_dirty(True)
    assert guest.asked() == ["xen-set-global-dirty-log"]
    guest.model().log_dirty(False)
    assert guest.asked() == ["xen-set-global-dirty-log"] * 3  # on, and then off


def test_a_refusal_is_told_in_qemu_s_words(guest: Guest) -> None:
    guest.qemu.answers["xen-save-devices-state"] = {"error": {"class": "GenericError", "desc": "State blocked by device"}}
    model = guest.model()
    with pytest.raises(DeviceModelError, match=r"domain 7: .*xen-save-devices-state: State blocked by device"):
        model.stop_and_save()
    model.resume()
    assert guest.asked()[-1] == "cont"


def test_log_dirty_that_is_refused(guest: Guest) -> None:
    guest.qemu.answers["xen-set-global-dirty-log"] = {"error": {"class": "GenericError", "desc": "out of bitmaps"}}
    with pytest.raises(DeviceModelError, match="out of bitmaps"):
        guest.model().log_dirty(True)


@pytest.mark.parametrize(
    ("state", "said"),
    [(b"", "it wrote no state"), (b"junk", "starts with 6a 75 6e 6b"), (STATE[:9], "is not whole: 9 bytes")],
    ids=["empty", "junk", "half"],
)
def test_a_state_that_is_none(guest: Guest, state: bytes, said: str) -> None:
    guest.qemu.state = state
    with pytest.raises(DeviceModelError, match=said):
        guest.model().stop_and_save()


def test_a_qemu_that_hangs_up(guest: Guest) -> None:
    guest.qemu.answers["stop"] = None
    with pytest.raises(DeviceModelError, match="closed its QMP socket"):
        guest.model().stop_and_save()


def test_physmap_keys_are_carried_when_they_exist(guest: Guest) -> None:
    guest.store.nodes |= {f"{ROOT}/physmap/a0000/start_addr": "a0000", f"{ROOT}/physmap/a0000/size": "1000"}
    assert guest.model().xenstore_data() == [("physmap/a0000/start_addr", "a0000"), ("physmap/a0000/size", "1000")]
