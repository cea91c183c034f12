"""Save: the order of its steps, and what is in the file."""

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pyxl.checkpoint import journal
from pyxl.checkpoint.journal import Journal
from pyxl.errors import OperationError, XenError
from pyxl.files.opened import opened
from pyxl.files.verify import verify
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import libxl_v2, xl_header
from pyxl.model import paths
from pyxl.model.compression import Compression
from pyxl.model.phases import After
from pyxl.model.report import Report
from pyxl.ops import suspend
from pyxl.ops.checkpoint import open_checkpoint
from pyxl.ops.helper_run import SaveHelper
from pyxl.ops.save import SaveOrder, save
from pyxl.xen.toolstacks import Toolstacks, Xl
from tests.fakes.host import CONFIG, UUID, running
from tests.fakes.save_helper import LIBXC
from tests.ops.conftest import World


class Noted(SaveHelper):
    """A save-helper of which one knows, afterwards, that it was started."""

    started: ClassVar[list[int]] = []

    def __init__(self, domid: int, log: Callable[[str], None], engine: str) -> None:
        super().__init__(domid, log, engine)
        self.started.append(self.pid)


def test_the_helper_starts_before_the_checks_and_ends_with_a_save_that_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyxl.ops.save.SaveHelper", Noted)
    world.dm.blocked = ["a device"]
    with pytest.raises(OperationError, match=r"preflight: .*a device"):
        world.save()
    pid = Noted.started.pop()
    assert not Path(f"/proc/{pid}").exists()
    assert world.files() == []


BEFORE_END = ["config_json 7", "guest suspends", "dm.save"]


@pytest.mark.parametrize(
    ("after", "end"),
    [
        (After.DESTROY, ["destroy 7"]),
        (After.RESUME, ["dm.resume", "resume 7"]),
        (After.PAUSE, ["pause 7", "dm.resume", "resume 7"]),
    ],
)
def test_whole_order(world: World, after: After, end: list[str]) -> None:
    world.save(after)
    assert world.calls == [*BEFORE_END, *end]
    assert world.store.resumed_domids == ([] if after is After.DESTROY else [7])


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("after", list(After))
def test_a_guest_that_goes_on_is_watched(
    world: World, monkeypatch: pytest.MonkeyPatch, after: After, is_watched: bool
) -> None:
    monkeypatch.setattr("pyxl.ops.save.toolstacks.is_watched", lambda uuid: is_watched and uuid == UUID)
    world.save(after)
    assert world.watched == ([] if is_watched or after is After.DESTROY else [7])


@pytest.mark.parametrize(("release", "is_ours_alone"), [("4.17.7", True), ("4.19.6", True), ("4.20.4", False)])
def test_a_monitor_of_xl_s_that_survives_a_suspend_is_enough(
    world: World, monkeypatch: pytest.MonkeyPatch, release: str, is_ours_alone: bool
) -> None:
    monkeypatch.setattr(world.xen, "release", lambda: release)
    monkeypatch.setattr("pyxl.ops.save.proven", lambda *_: "")
    found = Toolstacks([], [Xl(70, "create", "web1"), Xl(71, "create", "web2")], [])
    monkeypatch.setattr("pyxl.ops.save.toolstacks.look", lambda: found)
    world.save(After.RESUME)
    assert world.watched == ([7] if is_ours_alone else [])
    assert found.watcher("") is None


def test_a_guest_that_is_to_have_no_monitor_gets_none(world: World) -> None:
    world.store.nodes[paths.unwatched(7)] = "1"
    world.save(After.RESUME)
    assert world.watched == []


def test_a_monitor_that_cannot_be_started_does_not_keep_the_guest(world: World) -> None:
    class Full(list[int]):
        def append(self, _: int) -> None:
            raise BlockingIOError(errno.EAGAIN, "no more processes")

    world.watched = Full()
    world.save(After.RESUME)
    assert world.calls[-1] == "resume 7"


def test_two_guests_are_not_saved_to_one_file(world: World) -> None:
    """The later one would replace the earlier, whose guest is then nowhere."""
    other = "6b1d9b2e-0000-4000-8000-000000000002"
    with Journal("save", other, "web2") as held:
        held.note(target=str(world.target))
        with pytest.raises(OperationError, match=r'open file: a save of "web2" .* writes to .*checkpoint, too$'):
            world.save()
        held.note(target=str(world.target.parent / "another"))
        world.save(After.RESUME)
    assert world.calls[-1] == "resume 7"


def test_where_the_guest_was_moved_to_is_in_its_file(world: World) -> None:
    world.xen.all[7] = running()._replace(pool=2)
    world.xen.pinned = [[0, 3]]
    world.store.nodes[paths.pool_name(2)] = "fast"
    world.save(After.RESUME)
    with open_checkpoint(world.target) as checkpoint:
        config = json.loads(checkpoint.header.config)
    assert config["c_info"]["pool_name"] == "fast"
    assert config["b_info"]["vcpu_hard_affinity"] == [[0, 3]]


def test_a_place_that_the_guest_has_left_is_not_in_its_file(world: World) -> None:
    before = json.loads(world.xen.config)
    before["c_info"]["pool_name"] = "fast"
    before["b_info"]["vcpu_hard_affinity"] = [[0]]
    world.xen.config = json.dumps(before)
    world.save(After.RESUME)
    with open_checkpoint(world.target) as checkpoint:
        config = json.loads(checkpoint.header.config)
    assert "pool_name" not in config["c_info"] and "vcpu_hard_affinity" not in config["b_info"]


def test_a_guest_that_is_paused_already_is_not_paused_again(world: World) -> None:
    """Each pause would want an unpause of its own."""
    world.xen.params[suspend.PARAM_CALLBACK_IRQ] = 0
    world.xen.all[7] = running()._replace(paused=True)
    world.save(After.PAUSE)
    assert "pause 7" not in world.calls
    assert world.xen.all[7].paused


def test_file_is_header_stream_state_end(world: World) -> None:
    saved = world.save()
    config = GuestConfig(json.dumps(CONFIG), "test").to_json().encode()
    expected = xl_header.encode(config) + libxl_v2.start() + LIBXC
    expected += libxl_v2.emulator_context(2, b"QEVM state") + libxl_v2.end()
    found = world.target.read_bytes()
    assert found[: len(expected)] == expected
    assert saved.size == len(found)
    verdict = verify(world.target)
    sums = verdict.trailer
    assert sums is not None
    assert (sums.covered, sums.identity.name, sums.identity.uuid) == (len(expected), "web1", UUID)
    assert (sums.identity.xen, sums.identity.qemu) == ("4.99.7", "7.2.22")
    assert world.target.stat().st_mode & 0o777 == 0o600
    assert world.files() == ["checkpoint"]


def test_a_compressed_file_holds_what_a_plain_one_is(world: World) -> None:
    plain = world.target.with_name("plain")
    world.save(After.RESUME)
    world.target.rename(plain)
    saved = world.save(compression=Compression())
    with opened(world.target) as source:
        covered = verify(plain).trailer.covered  # type: ignore[union-attr]
        assert source.read(0, covered) == plain.read_bytes()[:covered]
        assert (source.size, world.target.stat().st_size) == (saved.size, saved.stored)
    found = verify(world.target)
    assert found.findings == verify(plain).findings  # the fake helper's stream is none that Xen makes
    assert found.trailer is not None
    assert (found.trailer.identity.name, found.trailer.sums) == ("web1", ())
    with open_checkpoint(world.target) as checkpoint:
        assert checkpoint.stream.is_summed
    assert world.files() == ["checkpoint", "plain"]


def test_a_compressed_pipe_gets_what_a_file_gets(world: World) -> None:
    ends = os.pipe()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(ends[0], "rb").read()))
    reader.start()
    order = SaveOrder(world.xen.all[7], ends[1], compression=Compression(3, 1))
    save(world.xen, world.store, lambda *_: world.dm, order, Report())
    os.close(ends[1])
    reader.join()
    world.target.write_bytes(got[0])
    with open_checkpoint(world.target) as checkpoint:
        assert checkpoint.stream.is_summed


def test_old_file_is_replaced_only_by_a_whole_one(world: World) -> None:
    world.target.write_bytes(b"old")
    world.dm.fail = {"dm.save"}
    with pytest.raises(OperationError):
        world.save()
    assert world.target.read_bytes() == b"old"
    world.dm.fail = set()
    world.save()
    assert world.target.read_bytes() != b"old"
    assert world.files() == ["checkpoint"]


def config_of(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        found: dict[str, Any] = json.loads(xl_header.parse(stream.read).config)
    return found


@pytest.mark.parametrize(
    ("has", "gets", "most"),
    [
        (131072, 98304 + 32768, 131072),  # it was told to shrink to 96 MiB, and has not
        (98304 + 1024, 98304, 131072),  # what libxl lets it have beyond its target
        (262144, 262144, 262144),  # and more than its maximum, by `xl mem-max`
    ],
)
def test_the_file_gives_the_guest_the_memory_that_it_has(world: World, has: int, gets: int, most: int) -> None:
    build = CONFIG["b_info"] | {"target_memkb": 98304}  # type: ignore[operator]
    world.xen.config = json.dumps(CONFIG | {"b_info": build})
    world.xen.all[7] = running()._replace(memory_kb=has)
    world.save()
    in_file = config_of(world.target)["b_info"]
    assert (in_file["target_memkb"], in_file["max_memkb"]) == (gets, most)


def test_the_file_gives_a_guest_all_that_is_populated_on_demand(world: World) -> None:
    """Each page is in the stream: libxc reads them all."""
    build = CONFIG["b_info"] | {"target_memkb": 98304, "max_memkb": 196608}  # type: ignore[operator]
    world.xen.config = json.dumps(CONFIG | {"b_info": build})
    world.xen.all[7] = running()._replace(memory_kb=98304)
    world.xen.on_demand_kb = 98304
    world.save()
    in_file = config_of(world.target)["b_info"]
    assert (in_file["target_memkb"], in_file["max_memkb"]) == (196608, 196608)


def test_memory_that_a_guest_gets_meanwhile_does_not_go_unseen(world: World) -> None:
    def grow() -> None:
        world.guest_suspends()
        world.xen.all[7] = world.xen.all[7]._replace(memory_kb=262144)

    world.store.on_wait = grow
    with pytest.raises(OperationError, match=r"suspend: the guest got more memory.*guest resumed, nothing written"):
        world.save()


def test_domid_is_stored_only_when_asked_for(world: World) -> None:
    world.save(keep_domid=True, after=After.RESUME)
    assert config_of(world.target)["c_info"]["domid"] == 7
    world.save()
    assert "domid" not in config_of(world.target)["c_info"]


def test_guest_without_pv_drivers_is_suspended_by_hypercall(world: World) -> None:
    world.xen.params[suspend.PARAM_CALLBACK_IRQ] = 0
    world.save()
    assert "shutdown 7 SUSPEND" in world.calls
    assert "guest suspends" not in world.calls


def test_a_domain_that_another_destroys_after_the_file_is_whole_is_a_save(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(domid: int) -> None:
        del world.xen.all[domid]
        raise XenError("libxl_domain_destroy", domid=domid, detail="lock failed")

    monkeypatch.setattr(world.xen, "destroy", gone)
    world.save()
    assert world.files() == ["checkpoint"]
    assert list(journal.dead()) == []


def test_a_device_is_written_to_and_stays(world: World) -> None:
    world.target = Path("/dev/null")
    world.save(After.RESUME)
    assert Path("/dev/null").is_char_device()
    assert world.calls[-1] == "resume 7"


def test_the_journal_knows_each_phase_and_is_gone_at_the_end(world: World, journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[dict[str, str | int]] = []
    note = Journal.note

    def listen(journal: Journal, **facts: str | int) -> None:
        noted.append(facts)
        note(journal, **facts)

    monkeypatch.setattr(Journal, "note", listen)
    world.save()
    phases = [facts["phase"] for facts in noted if "phase" in facts]
    assert phases == ["OPEN_FILE", "CONFIG", "SUSPEND", "DEVICE_MODEL", "MEMORY", "DEVICE_MODEL_STATE", "COMMIT", "SETTLE"]
    known = {key: value for facts in noted for key, value in facts.items()}
    assert (known["domid"], known["target"], known["after"]) == (7, str(world.target), "DESTROY")
    assert list(journals.iterdir()) == []


def test_a_guest_that_is_being_saved_is_not_touched_by_a_second_save(world: World) -> None:
    with Journal("save", UUID, "web1"), pytest.raises(OperationError, match=r'^save 7 "web1": preflight: a save of "web1" \(pid \d+, since \S+\) is in progress$'):
        world.save()
    assert world.calls == []
    world.save()


def test_a_pipe_gets_the_same_bytes(world: World) -> None:
    """Its journal names no file, as there is none to remove."""
    world.save(After.RESUME)
    ends = os.pipe()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(ends[0], "rb").read()))
    reader.start()
    order = SaveOrder(world.xen.all[7], ends[1], After.RESUME)
    save(world.xen, world.store, lambda *_: world.dm, order, Report())
    os.close(ends[1])
    reader.join()
    covered = len(got[0]) - len(world.target.read_bytes()) + verify(world.target).trailer.covered  # type: ignore[union-attr]
    assert got[0][:covered] == world.target.read_bytes()[:covered]
