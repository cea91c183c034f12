"""save-all and restore-all on a host of several guests, with real child processes: what becomes of each guest."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.errors import PyxlError, XenError
from pyxl.interrupt import SIGNALS, _State, install
from pyxl.model.ports import Hypervisor
from pyxl.ops import children, guests_directory
from pyxl.ops.guests_directory import GuestsDirectory, stem
from pyxl.ops.outcomes import FAILED, LEFT, RESTORED, SAVED, SHUT_DOWN, SKIPPED, STARTED, Tally
from pyxl.ops.restore_all import RestoreAll, restore_all
from pyxl.ops.save_all import SaveAll, save_all
from tests.fakes.host import FakeDeviceModel, FakeStore
from tests.fakes.host_of_guests import DESTROYED, VARIABLE, Host, HostXen, uuid_of
from tests.repository.crashes import POWER, PROCESS, SOME, dies_at

THREE = ("web1", "web2", "web3")
TWO = THREE[:2]


class World:
    """A host, and the directory in which its guests sleep."""

    def __init__(self, place: Path) -> None:
        (place / "host").mkdir()
        self.host = Host(place / "host")
        self.xen: Hypervisor = HostXen(self.host)
        self.directory = place / "guests"
        self.remarks: list[str] = []
        self.boots = place / "boot"
        self.boot()

    @property
    def store(self) -> FakeStore:
        nodes = {"/local/domain/0/name": "Domain-0"}
        for domid, guest in self.host.guests().items():
            nodes[f"/local/domain/{domid}/name"] = guest["name"]
            nodes[f"/local/domain/{domid}/control/feature-suspend"] = "1"
            nodes[f"/libxl/{domid}/type"] = "hvm"
        return FakeStore(nodes)

    def boot(self) -> None:
        self.boots.write_text(os.urandom(8).hex())

    def save(self, **more: object) -> Tally:
        with GuestsDirectory(self.directory, make=True) as place:
            order = SaveAll(**more)  # type: ignore[arg-type]
            return save_all(
                self.xen, self.store, lambda *_: FakeDeviceModel([]), place, order, lambda _: None, self.remarks.append
            )

    def restore(self, **more: object) -> Tally:
        with GuestsDirectory(self.directory, make=True) as place:
            order = RestoreAll(**more)  # type: ignore[arg-type]
            return restore_all(self.xen, self.store, place, order, lambda _: None, self.remarks.append)

    def reboot(self) -> None:
        self.host.lose_power()
        self.boot()

    def files(self) -> list[str]:
        return sorted(file.name for file in self.directory.iterdir())

    def log(self) -> list[str]:
        return (self.host.place / "log").read_text().splitlines()

    def file(self, name: str, kind: str) -> Path:
        return self.directory / f"{stem(name, uuid_of(name))}.{kind}"

    def memory(self) -> dict[str, int]:
        """Return what each guest that runs remembers: how often it has run since its boot."""
        return {each["name"]: each["memory"] for each in self.host.guests().values() if not each["paused"]}


def became(tally: Tally) -> dict[str, str]:
    return {each.name: each.outcome for each in tally.outcomes}


def why(tally: Tally, name: str) -> str:
    return next(each.why for each in tally.outcomes if each.name == name)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)
    monkeypatch.setattr(children, "PYXL", (sys.executable, "-m", "tests.fakes.host_of_guests"))
    monkeypatch.setattr(guests_directory, "_BOOT_ID", world.boots)
    monkeypatch.setenv(VARIABLE, str(world.host.place))
    monkeypatch.chdir(Path(__file__).parents[2])
    for name in THREE:
        world.host.start(name)
    yield world
    assert not (world.host.place / DESTROYED).exists()


def test_all_are_saved_and_come_back_once(world: World) -> None:
    assert became(world.save()) == dict.fromkeys(THREE, SAVED)
    assert world.host.names() == {}
    world.reboot()
    tally = world.restore()
    assert became(tally) == dict.fromkeys(THREE, RESTORED)
    assert {each.why for each in tally.outcomes} == {"its clock is 2 h behind"}
    assert world.memory() == dict.fromkeys(THREE, 2)
    assert world.files() == []
    assert world.restore().outcomes == []


def test_the_last_started_goes_first_and_comes_back_last_unless_an_order_says_otherwise(world: World) -> None:
    world.save()
    assert world.log() == [f"save {domid}" for domid in (3, 2, 1)]
    world.restore()
    assert sorted(world.host.names(), key=world.host.names().__getitem__) == list(THREE)
    world.save(order=("web3",))
    tally = world.restore()
    assert [each.name for each in tally.outcomes] == ["web3", "web1", "web2"]
    world.save()
    assert [each.name for each in world.restore(order=("web2",)).outcomes] == ["web2", "web3", "web1"]


def test_they_are_saved_side_by_side_as_many_as_are_wanted(world: World) -> None:
    for name in THREE:
        world.host.will(name, "save-hangs")
    tally = world.save(at_once=2, all_seconds=1.5)
    assert tally.stopped == children.TIME_IS_UP
    assert became(tally) == dict.fromkeys(THREE, LEFT)
    assert sorted(world.log()) == ["save 2", "save 3"]
    assert world.memory() == dict.fromkeys(THREE, 1)


@pytest.mark.parametrize("fault", ["save-fails", "save-dies", "save-hangs"])
def test_one_that_cannot_be_saved_runs_on_and_is_started_after_the_boot(world: World, fault: str) -> None:
    world.host.will("web2", fault)
    tally = world.save(save_seconds=1.5)
    assert tally.failed
    assert became(tally) == {"web1": SAVED, "web2": LEFT, "web3": SAVED}
    said = {
        "save-fails": "save web2: disk: it burns. Buy another", "save-dies": "its pyxl was killed (signal 9)",
        "save-hangs": "it took longer than 2 s: its pyxl was killed (signal 15)",
    }  # fmt: skip
    assert why(tally, "web2") == said[fault]
    assert world.host.names() == {"web2": 2}
    world.reboot()
    tally = world.restore()
    assert became(tally) == {"web1": RESTORED, "web2": STARTED, "web3": RESTORED}
    assert world.memory() == {"web1": 2, "web2": 1, "web3": 2}
    assert world.files() == []


def test_one_that_cannot_be_saved_is_shut_down_where_that_is_wanted(world: World) -> None:
    world.host.will("web1", "save-fails")
    world.host.start("gpu", passed=True)
    world.host.start("deaf", passed=True)
    world.host.will("deaf", "shutdown-hangs")
    tally = world.save(shutdown_instead=True, shutdown_seconds=1.5)
    saved = {"web2": SAVED, "web3": SAVED}
    assert became(tally) == {"web1": SHUT_DOWN, "gpu": SHUT_DOWN, "deaf": LEFT, **saved}
    assert "devices of this host" in why(tally, "gpu")
    assert "it did not shut down: it took longer than 2 s" in why(tally, "deaf")
    assert list(world.host.names()) == ["deaf"]
    (world.host.place / f"{uuid_of('web1')}.will").unlink()
    # Without a boot: those that were shut down come back, and one that runs is left alone.
    tally = world.restore()
    back = {"web2": RESTORED, "web3": RESTORED}
    assert became(tally) == {"web1": STARTED, "gpu": STARTED, "deaf": SKIPPED, **back}
    assert world.files() == []


def test_without_room_for_all_no_guest_is_touched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        f_bavail, f_frsize, f_blocks = 300, 1 << 20, 1000

    monkeypatch.setattr("pyxl.ops.save_all.os.statvfs", lambda _: Small)
    with pytest.raises(PyxlError, match=r"300 MiB free, .* need up to 432 MiB; no guest was touched"):
        world.save()
    assert world.memory() == dict.fromkeys(THREE, 1)
    assert world.files() == []
    tally = world.save(shutdown_instead=True)
    assert became(tally) == {"web1": SAVED, "web2": SAVED, "web3": SHUT_DOWN}
    world.restore()
    assert became(world.save(compressed=True)) == dict.fromkeys(THREE, SAVED)
    assert "where they cannot be compressed" in world.remarks[-1]


def test_a_checkpoint_whose_guest_has_gone_on_without_it_is_never_restored(world: World) -> None:
    world.save()
    world.host.start("web1")
    tally = world.save()
    assert became(tally) == {"web1": SAVED}
    assert len([name for name in world.files() if name.endswith(".stale")]) == 1
    world.host.start("web2")
    tally = world.restore()
    assert became(tally) == {"web1": RESTORED, "web2": SKIPPED, "web3": RESTORED}
    assert len(world.files()) == len([name for name in world.files() if name.endswith(".stale")]) == 2


def test_a_guest_that_has_ended_since_is_not_started_again(world: World) -> None:
    world.host.will("web2", "save-fails")
    world.save()
    world.host.end(world.host.names()["web2"])
    world.save()
    assert [name for name in world.files() if "web2" in name] == []
    world.host.start("web2")
    world.save()
    world.host.end(world.host.names()["web2"])
    assert became(world.restore())["web2"] == SKIPPED


def test_what_cannot_be_restored_stays_and_the_others_come_back(world: World) -> None:
    world.save()
    world.reboot()
    world.host.will("web2", "restore-fails")
    tally = world.restore()
    assert became(tally) == {"web1": RESTORED, "web2": FAILED, "web3": RESTORED}
    assert why(tally, "web2").endswith(f"Its checkpoint stays: {world.file('web2', 'checkpoint')}")
    (world.host.place / f"{uuid_of('web2')}.will").unlink()
    assert became(world.restore()) == {"web2": RESTORED}


def test_a_guest_that_cannot_be_let_run_is_the_next_ones(world: World) -> None:
    world.save()
    assert isinstance(world.xen, HostXen)
    world.xen.fail.add("unpause")
    tally = world.restore()
    assert became(tally) == dict.fromkeys(THREE, FAILED)
    assert "built, but paused" in why(tally, "web1")
    world.xen.fail.clear()
    tally = world.restore()
    assert became(tally) == dict.fromkeys(THREE, RESTORED)
    assert world.memory() == dict.fromkeys(THREE, 2)
    assert world.files() == []


def test_memory_is_asked_of_xen_before_one_more_is_built(world: World) -> None:
    world.save()
    assert isinstance(world.xen, HostXen)
    world.xen.free_kb = (131072 + 2048) * 2
    for name in THREE:
        world.host.will(name, "restore-hangs")
    tally = world.restore(at_once=3, all_seconds=1.5)
    assert world.log().count("save 1") == 1
    assert len([line for line in world.log() if line.startswith("restore")]) == 2 or tally.stopped
    assert len(world.files()) == 6


def test_an_interrupt_stops_those_at_work_and_keeps_what_is_saved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for state in ("held", "asked", "raised"):
        monkeypatch.setattr(_State, state, 0)
    before = [signal.getsignal(number) for number in SIGNALS]
    world.host.will("web2", "save-hangs")

    def strike() -> None:
        while not (world.host.place / "hangs").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    striker = threading.Thread(target=strike)
    install()
    try:
        striker.start()
        tally = world.save()
    finally:
        striker.join()
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
    assert tally.interrupted
    assert became(tally) == {"web3": SAVED, "web2": LEFT, "web1": LEFT}
    assert why(tally, "web1") == "interrupted: it was not tried"
    assert world.memory() == {"web1": 1, "web2": 1}


def test_a_paused_guest_comes_back_paused(world: World) -> None:
    assert isinstance(world.xen, HostXen)
    world.xen.params[0] = 0  # no PV drivers, which would have to help
    guest = world.host.guests()[2]
    world.host.put(2, **{**guest, "paused": True, "restored": 0})
    world.save()
    assert became(world.restore()) == dict.fromkeys(THREE, RESTORED)
    assert set(world.memory()) == {"web1", "web3"}
    assert world.files() == []


def test_names_that_are_no_file_names(world: World) -> None:
    world.host.start("a/../b c")
    world.save()
    assert f"a%2F..%2Fb c.{uuid_of('a/../b c')}.checkpoint" in world.files()
    assert became(world.restore())["a/../b c"] == RESTORED


def test_two_at_a_time_and_a_directory_of_others_are_refused(world: World) -> None:
    with GuestsDirectory(world.directory, make=True), pytest.raises(PyxlError, match="is at work in"):
        world.save()
    world.directory.chmod(0o777)
    with pytest.raises(PyxlError, match="others than root may put files into"):
        world.restore()
    assert world.memory() == dict.fromkeys(THREE, 1)


@pytest.mark.parametrize("what", [PROCESS, POWER, SOME])
def test_whatever_dies_when_in_a_restore_no_guest_is_lost_and_none_restored_twice(
    world: World, tmp_path: Path, what: str
) -> None:
    graves = tmp_path / "graves"
    graves.mkdir()
    world.host.end(world.host.names()["web3"])
    died = 0
    for count in range(40):
        world.save()
        world.reboot()
        for file in graves.iterdir():
            file.unlink()
        is_dead = dies_at(count, lambda: world.restore(at_once=2), what, graves, count)
        time.sleep(0.3 if is_dead else 0)  # children of one that died end by themselves
        back = set(world.memory()) if what != PROCESS else set()
        if what != PROCESS:
            world.reboot()
        world.restore()
        # A guest that was back, and then lost power, is one like any other.
        assert set(world.memory()) | back == set(TWO), count
        for name in set(TWO) - set(world.memory()):
            world.host.start(name)
        assert world.files() == [], count
        assert not (world.host.place / DESTROYED).exists(), count
        died += is_dead
        if not is_dead:
            break
    assert died >= 9


@pytest.mark.parametrize("what", [PROCESS, POWER, SOME])
def test_whatever_dies_when_in_a_save_all_guests_are_there_after_the_boot(
    world: World, tmp_path: Path, what: str
) -> None:
    graves = tmp_path / "graves"
    graves.mkdir()
    world.host.end(world.host.names()["web3"])
    died = 0
    for count in range(60):
        for file in graves.iterdir():
            file.unlink()
        is_dead = dies_at(count, lambda: world.save(at_once=2), what, graves, count)
        time.sleep(0.3 if is_dead else 0)
        before = died_before_records(world)
        world.reboot()
        world.restore()
        assert not (world.host.place / DESTROYED).exists(), count
        there = set(world.memory())
        assert there == set(TWO) or before, count
        for name in set(TWO) - there:  # no record of it was durable: as after any loss of power
            world.host.start(name)
        died += is_dead
        if not is_dead:
            break
    assert died >= 9


def died_before_records(world: World) -> bool:
    """Tell whether a save-all died before it had noted all guests, and so before it touched the first one."""
    noted = {file.name.partition(".")[0] for file in world.directory.glob("[!.]*")} if world.directory.exists() else set()
    return noted != set(TWO) and set(world.memory()) == set(TWO)


def test_json_of_a_record_is_the_guests_config(world: World) -> None:
    world.save()
    record = json.loads(world.file("web1", "json").read_text())
    assert record["config"]["c_info"]["name"] == "web1"


def test_a_guest_of_another_toolstack_is_left_to_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: HostXen, domid: int) -> str:
        raise XenError("libxl_retrieve_domain_configuration", 0, domid)

    monkeypatch.setattr(HostXen, "config_json", none)
    tally = world.save(shutdown_instead=True)
    assert became(tally) == dict.fromkeys(THREE, LEFT)
    assert "nobody could start it again" in why(tally, "web1")
    assert world.files() == []
