"""The xenstore protocol: a device model that answers late, twice, wrongly, or not at all."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyxl.dm import open_dm, xenstore
from pyxl.errors import DeviceModelError, StoreError
from pyxl.model import paths
from pyxl.model.ports import DeviceModel
from tests.dm.conftest import ROOT, Guest
from tests.fakes.host import FakeStore, running, web1
from tests.fakes.qemu import STATE

COMMAND, STATE_KEY = f"{ROOT}/command", f"{ROOT}/state"


class Faulty:
    """A device model that takes its next step each time its driver waits."""

    def __init__(self, directory: Path) -> None:
        self.store = FakeStore({**web1(), paths.device_model_control(7, 0): "xenstore", STATE_KEY: "running"})
        self.store.on_wait = self.act
        self.file = directory / "qemu-save"
        self.deeds: Iterator[object] = iter(())

    def act(self) -> None:
        next(self.deeds, None)

    def does(self, *deeds: Callable[[], object]) -> None:
        self.deeds = (deed() for deed in deeds)

    def takes(self) -> None:
        self.store.remove(COMMAND)

    def says(self, state: str) -> Callable[[], None]:
        return lambda: self.store.write(STATE_KEY, state)

    def writes(self, state: bytes, size: int | None = None) -> Callable[[], object]:
        def write() -> None:
            self.file.write_bytes(state)
            if size is not None:
                self.store.write(f"{ROOT}/size", str(size))

        return write

    def model(self) -> DeviceModel:
        model = open_dm(running(), self.store)
        assert model is not None
        return model


@pytest.fixture
def faulty(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    monkeypatch.setattr(xenstore, "ANSWER_DEADLINE", 0.02)
    monkeypatch.setattr(xenstore, "DEADLINE", 0.05)
    faulty = Faulty(directory)
    yield faulty
    assert not faulty.file.exists()
    assert {COMMAND, f"{ROOT}/error", f"{ROOT}/size", f"{ROOT}/logdirty/cmd"}.isdisjoint(faulty.store.nodes)


def test_a_command_that_is_not_taken_is_withdrawn(faulty: Faulty) -> None:
    model = faulty.model()
    with pytest.raises(DeviceModelError, match="save: it did not take the command within 0 s; its log ends: first"):
        model.stop_and_save()
    model.resume()  # nothing was begun, so nothing to continue
    assert faulty.store.nodes[STATE_KEY] == "running"


def test_a_command_that_is_taken_and_not_answered_is_followed_by_continue(faulty: Faulty) -> None:
    faulty.does(faulty.takes)
    model = faulty.model()
    with pytest.raises(DeviceModelError, match='it took the command, but was still "running" after'):
        model.stop_and_save()
    # The answer comes late; the driver waits for what follows it.
    faulty.does(faulty.writes(STATE), faulty.says("paused"), faulty.file.unlink, faulty.takes, faulty.says("running"))
    model.resume()
    assert faulty.store.nodes[STATE_KEY] == "running"


def test_a_front_that_dies_in_a_save_keeps_no_qemu_stopped(faulty: Faulty, over_qmp: Guest) -> None:
    faulty.does(faulty.writes(STATE), faulty.takes, faulty.says("paused"))
    model = faulty.model()
    model.stop_and_save()
    model.resume()
    assert over_qmp.asked() == ["cont"]


def test_where_nobody_lets_it_go_on_the_first_error_is_told(faulty: Faulty) -> None:
    faulty.store.nodes[STATE_KEY] = "paused"
    with pytest.raises(DeviceModelError, match="continue: it did not take the command"):
        faulty.model().resume()


def test_an_answer_that_comes_twice(faulty: Faulty) -> None:
    faulty.does(faulty.writes(STATE), faulty.takes, faulty.says("paused"), faulty.says("paused"))
    model = faulty.model()
    assert model.stop_and_save() == STATE
    faulty.does(faulty.says("paused"), faulty.takes, faulty.says("running"), faulty.says("running"))
    model.resume()


def test_a_state_that_is_none_of_the_protocol_s(faulty: Faulty) -> None:
    faulty.does(faulty.takes, faulty.says("confused"))
    with pytest.raises(DeviceModelError, match='its state became "confused" instead of "paused"'):
        faulty.model().stop_and_save()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "No such file"), (b"", "it wrote no state"),
        (STATE[:9], "is not whole: 9 bytes"), (STATE[:8] + b"\0", "is not whole: 9 of 16 bytes"),
    ],
)
def test_a_file_that_is_not_there_or_not_whole(faulty: Faulty, state: bytes | None, said: str) -> None:
    faulty.does(faulty.takes, *([] if state is None else [faulty.writes(state, len(STATE))]), faulty.says("paused"))
    with pytest.raises(DeviceModelError, match=said):
        faulty.model().stop_and_save()


def test_an_old_file_is_not_taken_for_a_new_one(faulty: Faulty) -> None:
    faulty.file.write_bytes(STATE)
    faulty.does(faulty.takes, faulty.says("paused"))
    with pytest.raises(DeviceModelError, match="No such file"):
        faulty.model().stop_and_save()


def test_a_file_that_is_a_link_is_not_followed(faulty: Faulty, directory: Path) -> None:
    (directory / "elsewhere").write_bytes(STATE)
    faulty.does(faulty.takes, lambda: faulty.file.symlink_to(directory / "elsewhere"), faulty.says("paused"))
    with pytest.raises(DeviceModelError, match="symbolic links"):
        faulty.model().stop_and_save()


def test_xenstore_that_refuses(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, value: str) -> None:
        raise StoreError(path, 13)

    monkeypatch.setattr(faulty.store, "write", refuse)
    with pytest.raises(StoreError, match="command: Permission denied"):
        faulty.model().stop_and_save()


def test_log_dirty_that_nobody_does_is_withdrawn(faulty: Faulty) -> None:
    with pytest.raises(DeviceModelError, match="logdirty enable: not done within"):
        faulty.model().log_dirty(True)


def test_log_dirty_that_an_earlier_toolstack_left(faulty: Faulty) -> None:
    faulty.store.nodes[f"{ROOT}/logdirty/cmd"] = "enable"
    with pytest.raises(DeviceModelError, match='an earlier "enable" was not done'):
        faulty.model().log_dirty(False)
    faulty.store.remove(f"{ROOT}/logdirty")


@pytest.mark.parametrize(
    ("state", "said"),
    [("running", []), ("paused", []), ("confused", ['its state is "confused"']), (None, ["it has not said that it is running"])],
)
def test_its_state_key_tells_whether_it_can_be_saved(faulty: Faulty, state: str | None, said: list[str]) -> None:
    faulty.store.remove(STATE_KEY)
    if state is not None:
        faulty.store.write(STATE_KEY, state)
    assert faulty.model().blockers() == said


def test_upstream_qemu_behind_a_front_is_asked_over_libxl_s_socket(faulty: Faulty, over_qmp: Guest) -> None:
    over_qmp.qemu.answers["query-migrate"] = {"return": {"blocked-reasons": ["non-migratable device: nvme"]}}
    assert faulty.model().blockers() == ["non-migratable device: nvme"]
