"""Clones of one checkpoint, with real child processes and real disks: what is made, refused, and taken away again."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.report import Report
from pyxl.ops import children, clone, clones
from pyxl.ops.clone import Order, Origin
from pyxl.ops.identity import Chooser
from pyxl.ops.outcomes import FAILED, STARTED, Tally
from pyxl.ops.preflight import can_be_built
from tests.fakes.host import CONFIG, FakeStore, FakeXen, running
from tests.fakes.pyxl_restore import VARIABLE
from tests.repository.crashes import PROCESS, dies_at

THREE = ("lab-1", "lab-2", "lab-3")
SAVED = 1_800_000_000.0
NEEDED_KB = 1 << 17


class Xen(FakeXen):
    """A host whose domains are those that a fake `pyxl restore` has noted."""

    def __init__(self, place: Path) -> None:
        super().__init__([])
        self.place = place

    def domains(self) -> list[DomainInfo]:
        found = [running(100 + number)._replace(uuid=file.stem) for number, file in enumerate(self.place.glob("*-*.json"))]
        return [*found, *self.all.values()]

    def domain(self, domid: int) -> DomainInfo | None:
        return next((each for each in self.domains() if each.domid == domid), None)

    def destroy(self, domid: int) -> None:
        domain = self.domain(domid)
        assert domain is not None
        (self.place / f"{domain.uuid}.json").unlink()

    def needed_memory_kb(self, config_json: str) -> int:
        return NEEDED_KB


class World:
    """A host with a guest's checkpoint, whose disk has stood still since."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.xen, self.store = Xen(place), FakeStore({})
        self.disk = place / "web1.raw"
        self.disk.write_bytes(b"of web1")
        os.utime(self.disk, (SAVED - 60, SAVED - 60))
        self.report = Report()

    def config(self) -> GuestConfig:
        document = json.loads(json.dumps(CONFIG))
        document["disks"] = [
            {"pdev_path": str(self.disk), "vdev": "hda", "format": "raw", "readwrite": 1, "backend": "qdisk"},
            {"pdev_path": "/etc/hostname", "vdev": "hdc", "format": "raw"},
        ]
        document["nics"] = [{"devid": 0, "mac": "00:16:3e:00:00:01"}]
        return GuestConfig(json.dumps(document), "test")

    def plan(self, order: Order) -> list[clones.Clone]:
        origin = Origin("/srv/web1.checkpoint", self.config(), SAVED)
        return clone.plan(self.xen, self.store, origin, order, Chooser(self.store), self.report)

    def make(self, *names: str, way: str = "qcow2", at_once: int = 2) -> Tally:
        order = Order(names, way, at_once)
        return clone.make(self.xen, self.store, self.plan(order), order, lambda _: None)

    def discard(self, name: str) -> None:
        clone.discard(self.xen, self.store, lambda *_: None, name, self.report)

    def built(self) -> dict[str, dict[str, Any]]:
        """Return the configs of the guests that were built, by their names."""
        configs = [json.loads(file.read_text()) for file in self.place.glob("*-*.json")]
        return {config["c_info"]["name"]: config for config in configs}

    def files(self) -> list[str]:
        kept = Path(paths.CLONES)
        return sorted(file.name for place in (self.place, kept) if place.is_dir() for file in place.iterdir() if file.is_file())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(children, "PYXL", (sys.executable, "-m", "tests.fakes.pyxl_restore"))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(paths, "CLONES", str(tmp_path / "clones"))
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(tmp_path / "journals"))
    monkeypatch.chdir(Path(__file__).parents[2])
    return World(tmp_path)


def became(tally: Tally) -> dict[str, str]:
    return {each.name: each.outcome for each in tally.outcomes}


def test_each_has_an_identity_and_a_disk_of_its_own(world: World) -> None:
    assert became(world.make(*THREE)) == dict.fromkeys(THREE, STARTED)
    built = world.built()
    assert set(built) == set(THREE)
    own = [
        (config["c_info"]["uuid"], config["nics"][0]["mac"], config["disks"][0]["pdev_path"]) for config in built.values()
    ]
    assert all(len(set(column)) == len(THREE) for column in zip(*own, strict=True))
    for config in built.values():
        disk = config["disks"][0]
        assert (disk["format"], "backend" in disk, config["disks"][1]["pdev_path"]) == ("qcow2", False, "/etc/hostname")
        assert Path(disk["pdev_path"]).is_file()
    assert world.disk.read_bytes() == b"of web1"
    assert world.store.nodes[paths.clone_of(101)] == "/srv/web1.checkpoint"
    for name in THREE:
        world.discard(name)
    assert world.built() == {} and world.files() == ["web1.raw"]


def test_one_that_fails_takes_its_disk_along_and_leaves_the_others(world: World) -> None:
    (world.place / "FAILS").write_text("lab-2")
    tally = world.make(*THREE)
    assert became(tally) == {"lab-1": STARTED, "lab-2": FAILED, "lab-3": STARTED}
    assert "build: it burns" in next(each.why for each in tally.outcomes if each.name == "lab-2")
    assert "lab-2.qcow2" not in world.files() and "lab-2.json" not in world.files()
    assert {each.name for each in clones.clones()} == {"lab-1", "lab-3"}


def test_a_way_that_fails_leaves_nothing(world: World) -> None:
    program = world.place / "hook"
    program.write_text('#!/bin/sh\ncase $1 in target) echo "${2%.raw}-$5.raw";; make) echo no room >&2; exit 1;; esac\n')
    program.chmod(0o755)
    tally = world.make("lab-1", way=f"hook:{program}")
    assert became(tally) == {"lab-1": FAILED} and "no room" in tally.outcomes[0].why
    assert world.files() == ["hook", "web1.raw"]


def refused(world: World, *names: str, **how: Any) -> str:
    before = world.files()
    with pytest.raises(PyxlError) as error:
        world.make(*names, **how)
    assert world.files() == before and world.built().keys() <= {"lab-1"}
    return str(error.value)


def test_what_is_refused_before_anything_is_made(world: World) -> None:
    world.make("lab-1")
    assert 'there is a clone "lab-1" already' in refused(world, "lab-2", "lab-1")
    world.xen.free_kb = 3 * NEEDED_KB + 1
    assert "4 guests need 128 MiB of memory each, Xen has 384 MiB free: room for 3" in refused(
        world, "lab-2", "lab-3", "lab-4", "lab-5"
    )
    (world.place / "lab-9.qcow2").touch()
    assert "disk hda of lab-9 would be" in refused(world, "lab-9")
    assert "is no name for a domain" in refused(world, "../lab")
    os.utime(world.disk, (SAVED + 60, SAVED + 60))
    assert "disk hda has gone on without the checkpoint" in refused(world, "lab-2")
    world.disk.unlink()
    assert "disk hda is missing" in refused(world, "lab-2")


def test_a_disk_that_is_not_this_host_s_is_shared_by_nobody(world: World) -> None:
    config = world.config()
    config.document["disks"].append({"pdev_path": "iqn.x", "vdev": "hdb", "script": "block-iscsi", "readwrite": 1})
    order = Order(("lab-1",), "qcow2")
    with pytest.raises(PyxlError, match="disk hdb is not this host's"):
        clone.plan(world.xen, world.store, Origin("/srv/x", config), order, Chooser(world.store), world.report)


def test_two_clones_of_one_name_or_one_file_are_refused(world: World) -> None:
    program = world.place / "hook"
    program.write_text('#!/bin/sh\necho "${2%.raw}-shared.raw"\n')
    program.chmod(0o755)
    assert "would be a disk of two guests" in refused(world, "lab-2", "lab-3", way=f"hook:{program}")


def test_nobody_may_write_to_what_clones_read(world: World) -> None:
    world.make("lab-1")
    with pytest.raises(PyxlError, match='disk hda is what the clone "lab-1" reads'):
        can_be_built(world.xen, world.store, world.config())
    world.discard("lab-1")
    can_be_built(world.xen, world.store, world.config())


def test_a_clone_that_somebody_works_on_is_left_alone(world: World) -> None:
    world.make("lab-1")
    with clones.held("lab-1"), pytest.raises(PyxlError, match='another pyxl is at work on the clone "lab-1"'):
        world.discard("lab-1")
    with pytest.raises(PyxlError, match='there is no clone "web1"'):
        world.discard("web1")


def test_what_cannot_be_removed_is_said_and_stays_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.make("lab-1")
    overlay = world.place / "lab-1.qcow2"
    overlay.unlink()
    overlay.mkdir()
    with pytest.raises(PyxlError, match=r"its domain has ended; .*lab-1.qcow2 is left: "):
        world.discard("lab-1")
    overlay.rmdir()
    world.discard("lab-1")
    assert world.files() == ["web1.raw"]


def test_a_new_mac_is_nobody_else_s() -> None:
    taken = {paths.backends("vif") + f"/7/{number}/mac": f"00:16:3E:00:00:{number:02X}" for number in range(256)}
    chooser = Chooser(FakeStore(taken))
    macs = {chooser.mac() for _ in range(100)}
    assert len(macs) == 100 and not macs & {mac.lower() for mac in taken.values()}
    assert all(mac.startswith("00:16:3e:") for mac in macs)


def test_a_port_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        chooser = Chooser(FakeStore({}))
        assert chooser.port(port - 1) > port
        assert chooser.port(port - 1) > port + 1


def test_a_record_that_cannot_be_read_hides_no_other(world: World) -> None:
    world.make("lab-1")
    clones.record_of("lab-0").write_text("{")
    assert [each.name for each in clones.clones()] == ["lab-1"]
    with pytest.raises(UsageError, match="cannot be read"), clones.held("lab-0"):
        pass


def test_whenever_it_dies_all_is_known_and_goes_by_discard(world: World) -> None:
    """Killed before each of its operations on files; what a child has built by then is ended, too."""
    graves = world.place / "graves"
    graves.mkdir()
    count = 0
    while dies_at(count, lambda: world.make("lab-1", "lab-2", at_once=1), PROCESS, graves):
        known = [each.name for each in clones.clones()]
        assert set(world.built()) <= set(known)
        for name in known:
            world.discard(name)
        assert world.built() == {} and world.files() == ["web1.raw"], count
        count += 1
    assert count > 6
    assert {each.name for each in clones.clones()} == {"lab-1", "lab-2"}
