"""A live save: what the device model and the guest are told when, and what is owed when it fails."""

import pytest

from pyxl.errors import OperationError
from pyxl.model.engine import LIBXC
from pyxl.model.live import Live, Round
from pyxl.model.phases import After
from pyxl.model.releases import ENGINE_PROVEN
from tests.fakes.host import running
from tests.ops.conftest import World

LIVE = {"live": Live()}
BEGIN = ["config_json 7", "dm.log_dirty on", "guest suspends", "dm.save"]


@pytest.fixture(autouse=True)
def proven(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.xen, "release", lambda: "{}.{}.7".format(*ENGINE_PROVEN[0]))


@pytest.mark.parametrize(
    ("after", "engine", "end"),
    [
        (After.RESUME, "direct", ["dm.resume", "resume 7", "dm.log_dirty off"]),
        (After.RESUME, LIBXC, ["dm.log_dirty off", "dm.resume", "resume 7"]),
        (After.PAUSE, "direct", ["dm.log_dirty off", "pause 7", "dm.resume", "resume 7"]),
        (After.DESTROY, "direct", ["dm.log_dirty off", "destroy 7"]),
    ],
)
def test_the_guest_goes_on_before_its_file_is_whole(world: World, after: After, engine: str, end: list[str]) -> None:
    saved = world.save(after, **LIVE, engine=engine)
    assert world.calls == BEGIN + end
    assert world.store.resumed_domids == ([] if after is After.DESTROY else [7])
    assert world.watched == ([] if after is After.DESTROY else [7])
    goes_on = after is After.RESUME and engine
    assert saved.rounds == [Round(32, 1.5, ""), *([Round(2, 1.5, "short")] if goes_on else [])]


def test_without_live_no_write_is_logged(world: World) -> None:
    assert world.save(After.RESUME).rounds == []
    assert not [call for call in world.calls if "log_dirty" in call]


@pytest.mark.parametrize(
    ("fail", "said", "undone"),
    [
        ("kill", "precopy: the save-helper died; guest still running, nothing written", []),
        ("memory", "memory: .*Failed to write page data; guest still running, nothing written", ["dm.save", "dm.resume", "resume 7", "dm.log_dirty off"]),
    ],
)  # fmt: skip
def test_a_helper_that_fails_leaves_no_log(
    world: World, monkeypatch: pytest.MonkeyPatch, fail: str, said: str, undone: list[str]
) -> None:
    monkeypatch.setenv("FAKE_HELPER_FAIL", fail)
    with pytest.raises(OperationError, match=said):
        world.save(After.RESUME, **LIVE)
    begin = BEGIN[:2] + (["guest suspends"] if undone else [])
    assert world.calls == [*begin, *undone, "log_dirty_off 7", "dm.log_dirty off"]
    assert world.files() == []


def test_a_domain_that_is_gone_needs_no_undo(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_HELPER_FAIL", "kill")
    log_dirty = world.dm.log_dirty

    def and_then_it_is_destroyed(on: bool) -> None:
        log_dirty(on)
        world.xen.all.pop(7)

    monkeypatch.setattr(world.dm, "log_dirty", and_then_it_is_destroyed)
    with pytest.raises(OperationError, match="precopy: the save-helper died; the domain is gone, nothing written"):
        world.save(After.RESUME, **LIVE)
    assert world.calls == BEGIN[:2]


def test_a_device_model_that_cannot_log_ends_it_before_the_guest_is_asked(world: World) -> None:
    world.dm.fail = {"dm.log_dirty on"}
    with pytest.raises(OperationError, match=r"precopy: .*log_dirty on.*; guest still running, nothing written"):
        world.save(After.RESUME, **LIVE)
    assert "guest suspends" not in world.calls
    assert world.xen.all[7] == running()


def test_a_device_model_that_goes_on_logging_spoils_no_checkpoint(world: World) -> None:
    world.dm.fail = {"dm.log_dirty off"}
    world.save(After.RESUME, **LIVE)
    assert world.files() == ["checkpoint"]
