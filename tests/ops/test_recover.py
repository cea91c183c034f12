"""Recovery finds and puts right each thing that a dead toolstack leaves, and touches nothing else."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxl.checkpoint.journal import Journal
from pyxl.model import paths
from pyxl.model.domain import ShutdownReason
from pyxl.model.phases import Owed, Phase
from pyxl.ops import recover, settle
from pyxl.ops.recover import Finding, Recovery, put_right
from pyxl.xen.toolstacks import Helper, Toolstacks, Xl
from tests.fakes.host import UUID, FakeDeviceModel, FakeStore, FakeXen, running, web1
from tests.formats.stream import streams

LET_GO_ON = ["dm.resume", "resume 7"]
LOG_DIRTY_OFF = ["log_dirty_off 7", "dm.log_dirty off"]
SAVING = Toolstacks([Helper(41, 7, False)], [Xl(40, "save", "")], [])


class World:
    """A host on which a toolstack has died."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.library = directory / "lib"
        (self.library / "pyxl").mkdir(parents=True)
        self.calls: list[str] = []
        self.xen = FakeXen(self.calls, running())
        self.store = FakeStore(web1())
        self.dm = FakeDeviceModel(self.calls)
        self.looks: list[Toolstacks] = []
        self.temporary = directory / f".web1.{os.getpid()}.new"

    def find(self, uuid: str = "") -> list[Finding]:
        def look() -> Toolstacks:
            return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0] if self.looks else Toolstacks([], [], [])

        return Recovery(self.xen, self.store, lambda *_: self.dm, uuid, look, self.library).find()

    def recover(self, named: bool = False) -> list[tuple[bool, str]]:
        return [put_right(finding, named) for finding in self.find()]

    def died(self, phase: str, **facts: Any) -> Path:
        """Leave the journal of an operation that died in ``phase``."""
        entry = {"operation": "save", "uuid": UUID, "name": "web1", "pid": os.getpid(), "since": 1, "phase": phase,
                 "domid": 7, "target": str(self.directory / "web1"), **facts}  # fmt: skip
        path = self.library / "pyxl" / UUID
        path.write_text(json.dumps(entry) + "\n")
        return path

    def suspend(self) -> None:
        self.xen.change(7, ShutdownReason.SUSPEND)

    def half_build(self) -> None:
        self.xen.all[7] = running()._replace(paused=True, blocked=False)
        self.store.remove(paths.domain_type(7))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(recover, "BETWEEN_LOOKS", 0.0)
    return World(tmp_path)


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a save-helper's command line, for domain 7."""
    program = tmp_path / "pyxl-save-helper"
    program.write_text("import time\nprint(flush=True)\ntime.sleep(60)\n")
    words = [sys.executable, str(program), "--save-domain", "8", "-1", "7", "0", "136", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    reaper = threading.Thread(target=process.wait)  # reaps it, as init does an orphan
    reaper.start()
    yield process
    process.kill()
    reaper.join()
    process.stdout.close()


def test_nothing_to_do_on_a_host_where_nothing_died(world: World) -> None:
    assert world.find() == []


# Dead operations of pyxl.


@pytest.mark.parametrize("phase", [phase for phase in Phase if Owed.GUEST in phase.owes])
def test_a_save_that_died_with_its_guest_suspended(world: World, phase: Phase) -> None:
    journal = world.died(phase.name)
    world.temporary.touch()
    world.suspend()
    (finding,) = world.find()
    assert f'save of "web1" (pid {os.getpid()}, since' in finding.what
    assert f"died at step {phase.text}" in finding.what
    assert world.calls == []
    done, said = put_right(finding, named=False)
    assert done
    assert "guest resumed" in said
    assert world.calls == LET_GO_ON
    assert not world.temporary.exists()
    assert not journal.exists()
    assert world.find() == []


@pytest.mark.parametrize("phase", [phase for phase in Phase if Owed.LOG_DIRTY in phase.owes])
def test_a_live_save_that_died_leaves_no_write_logged(world: World, phase: Phase) -> None:
    world.died(phase.name, live=1)
    world.store.nodes[paths.control_shutdown(7)] = "suspend"
    ((done, said),) = world.recover()
    assert done
    assert "guest still running; log-dirty off" in said
    assert world.calls[-2:] == LOG_DIRTY_OFF
    assert "resume 7" not in world.calls


def test_a_save_that_died_before_its_guest_took_the_request(world: World) -> None:
    world.died("SUSPEND")
    world.store.nodes[paths.control_shutdown(7)] = "suspend"
    ((done, said),) = world.recover()
    assert done
    assert "suspend request withdrawn; guest still running" in said
    assert world.store.nodes[paths.control_shutdown(7)] == ""
    assert "resume 7" not in world.calls


@pytest.mark.parametrize("phase", ["PREFLIGHT", "OPEN", "CHECK_FILE"])
def test_an_operation_that_owed_nothing_is_forgotten(world: World, phase: str) -> None:
    journal = world.died(phase)
    assert world.recover() == [(True, "nothing was left to do")]
    assert world.calls == []
    assert not journal.exists()


def test_the_helper_of_a_dead_save_is_ended(world: World, helper: subprocess.Popen[bytes]) -> None:
    world.died("MEMORY", helper=helper.pid)
    ((done, said),) = world.recover()
    assert done
    assert f"save-helper {helper.pid} ended" in said


def test_a_pid_that_is_another_program_by_now_is_left_alone(world: World) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        world.died("MEMORY", helper=other.pid)
        assert [done for done, _ in world.recover()] == [True]
        assert other.poll() is None
        other.kill()


def test_a_helper_of_another_domain_is_left_alone(world: World, helper: subprocess.Popen[bytes]) -> None:
    world.xen.all[9] = world.xen.all.pop(7)._replace(domid=9)
    world.died("MEMORY", helper=helper.pid, domid=9)
    assert [done for done, _ in world.recover()] == [True]
    assert helper.returncode is None


def test_a_temporary_file_that_became_a_link_is_left_alone(world: World) -> None:
    precious = world.directory / "precious"
    precious.write_text("precious")
    world.temporary.symlink_to(precious)
    world.died("OPEN_FILE")
    assert [done for done, _ in world.recover()] == [True]
    assert world.temporary.is_symlink()
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("name", ["web1", ".web1.1.new", ".web2.1.new"])
def test_other_files_are_left_alone(world: World, name: str) -> None:
    file = world.directory / name
    file.write_text("precious")
    world.died("OPEN_FILE")
    world.recover()
    assert file.exists()


def test_a_directory_that_became_a_link_is_not_followed(world: World) -> None:
    (world.directory / "there").mkdir()
    file = world.directory / "there" / world.temporary.name
    file.touch()
    (world.directory / "link").symlink_to("there")
    world.died("OPEN_FILE", target=str(world.directory / "link" / "web1"))
    ((done, said),) = world.recover()
    assert not done
    assert said.startswith("not done: ")
    assert file.exists()


@pytest.mark.parametrize("phase", ["BUILD", "CHECKSUMS", "MONITOR"])
@pytest.mark.parametrize("domid", [0, 7])
def test_the_domain_of_a_dead_restore_is_destroyed(world: World, phase: str, domid: int) -> None:
    world.half_build()
    world.died(phase, operation="restore", domid=domid, target="")
    assert world.recover() == [(True, "domain 7 destroyed")]
    assert world.calls == ["destroy 7"]


@pytest.mark.parametrize("seen", [{"paused": False}, {"cpu_time": 1}])
def test_a_domain_that_has_run_is_not_taken_for_a_half_built_one(world: World, seen: dict[str, Any]) -> None:
    world.half_build()
    world.xen.all[7] = world.xen.all[7]._replace(**seen)
    world.died("BUILD", operation="restore", domid=0)
    assert world.recover() == [(True, "domain 7 has run, and is left as it is")]
    assert world.calls == []


@pytest.mark.parametrize(
    ("after", "said", "calls"),
    [("RESUME", "domain 7 unpaused", ["unpause 7"]), ("PAUSE", "domain 7 is whole", [])],
)
def test_a_domain_that_waits_to_be_unpaused_is_started_where_that_was_ordered(
    world: World, after: str, said: str, calls: list[str]
) -> None:
    world.half_build()
    world.died("UNPAUSE", operation="restore", after=after)
    assert world.recover() == [(True, said)]
    assert world.calls == calls


def test_another_domain_under_the_old_domid_is_not_the_guest(world: World) -> None:
    world.suspend()
    world.died("MEMORY", uuid="6b1d9b2e-0000-4000-8000-00000000000f")
    (finding, *_) = world.find()
    put_right(finding, named=False)
    assert world.calls == []


def checkpoint(world: World, uuid: str = UUID) -> Path:
    file = world.directory / "web1"
    file.write_bytes(streams.checkpoint().replace(UUID.encode(), uuid.encode()))
    return file


@pytest.mark.parametrize(
    ("after", "calls"),
    [("DESTROY", ["destroy 7"]), ("RESUME", LET_GO_ON), ("PAUSE", ["pause 7", *LET_GO_ON])],
)
def test_a_save_whose_file_is_whole_is_brought_to_its_end(world: World, after: str, calls: list[str]) -> None:
    file = checkpoint(world)
    world.suspend()
    world.died("SETTLE", after=after)
    assert [done for done, _ in world.recover()] == [True]
    assert world.calls == calls
    assert file.exists()


def test_a_domain_that_the_save_has_paused_is_not_paused_again(world: World) -> None:
    """Xen counts pauses: it would then take two unpauses."""
    checkpoint(world)
    world.suspend()
    world.xen.all[7] = world.xen.all[7]._replace(paused=True)
    world.died("SETTLE", after="PAUSE")
    assert [done for done, _ in world.recover()] == [True]
    assert world.calls == LET_GO_ON


@pytest.mark.parametrize("how", ["gone", "cut", "another guest's", "older", "a pipe"])
def test_a_guest_is_never_destroyed_without_its_whole_file(world: World, how: str) -> None:
    file = checkpoint(world, UUID[:-1] + "f" if how == "another guest's" else UUID)
    since = int(file.stat().st_mtime) + 2 if how == "older" else 1
    if how == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    if how in ("gone", "a pipe"):
        file.unlink()
    if how == "a pipe":
        os.mkfifo(file)
    world.suspend()
    world.died("SETTLE", after="DESTROY", since=since)
    assert [done for done, _ in world.recover()] == [True]
    assert world.calls == LET_GO_ON


def test_what_could_not_be_done_stays_noted(world: World) -> None:
    journal = world.died("MEMORY")
    world.suspend()
    world.xen.fail = {"resume"}
    ((done, said),) = world.recover()
    assert not done
    assert said.startswith("not done: resume")
    assert journal.exists()
    world.xen.fail = set()
    assert [done for done, _ in world.recover()] == [True]


@pytest.mark.parametrize("left_by", ["pyxl", "xl"])
@pytest.mark.parametrize("failing", ["dm.log_dirty off", "dm.resume"])
def test_a_device_model_that_does_not_answer_does_not_keep_the_guest(world: World, failing: str, left_by: str) -> None:
    if left_by == "pyxl":
        world.died("MEMORY")
        failing = "dm.resume"
    world.suspend()
    world.dm.fail = {failing}
    ((done, said),) = world.recover()
    assert done
    assert "refused" in said
    assert "resume 7" in world.calls


def test_a_phase_of_a_later_pyxl_is_left_to_it(world: World) -> None:
    journal = world.died("TELEPORT")
    ((done, said),) = world.recover()
    assert not done
    assert "does not know" in said
    assert journal.exists()


def test_of_two_recoveries_one_acts(world: World) -> None:
    world.died("MEMORY")
    world.suspend()
    first, second = world.find(), world.find()
    assert put_right(first[0], named=False)[0]
    calls = list(world.calls)
    assert put_right(second[0], named=False) == (True, "somebody else did it")
    assert world.calls == calls


def test_an_operation_that_is_running_is_left_alone(world: World) -> None:
    world.suspend()
    with Journal("save", UUID, "web1", world.library / "pyxl"):
        assert world.find() == []


# Leftovers of other toolstacks.


def test_a_guest_that_nobody_saves_is_resumed(world: World) -> None:
    world.suspend()
    (finding,) = world.find()
    assert finding.what == 'domain 7 "web1" is suspended, and nobody is saving it'
    assert put_right(finding, named=False) == (True, "guest resumed; log-dirty off")
    assert world.calls == [*LET_GO_ON, *LOG_DIRTY_OFF]
    assert world.store.resumed_domids == [7]
    assert list((world.library / "pyxl").iterdir()) == []


def test_a_save_that_works_is_no_finding(world: World) -> None:
    world.suspend()
    world.looks = [SAVING]
    assert world.find() == []


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (Toolstacks([], [Xl(40, "save", "")], []), "xl save (pid 40) may be at it"),
        (Toolstacks([], [Xl(40, "migrate", "")], []), "xl migrate (pid 40) may be at it"),
        (Toolstacks([], [], ["libvirtd"]), "libvirtd runs, and may hold it"),
    ],
)
def test_a_guest_that_another_toolstack_may_hold_waits_to_be_named(world: World, there: Toolstacks, why: str) -> None:
    world.suspend()
    world.looks = [there]
    assert world.recover() == [(False, f"left as it is: {why}")]
    assert world.calls == []
    assert world.recover(named=True) == [(True, "guest resumed; log-dirty off")]


def test_a_guest_that_has_migrated_away_waits_to_be_named(world: World) -> None:
    world.suspend()
    world.store.nodes[paths.name(7)] = "web1--migratedaway"
    assert world.recover() == [(False, "left as it is: its guest may be running on another host")]
    assert world.calls == []


def test_what_is_so_for_a_moment_only_is_no_finding(world: World) -> None:
    world.suspend()
    world.looks = [Toolstacks([], [], []), SAVING]
    assert world.find() == []


def test_a_guest_that_somebody_begins_to_save_meanwhile_is_left_to_him(world: World) -> None:
    world.suspend()
    (finding,) = world.find()
    with Journal("save", UUID, "web1", world.library / "pyxl"):
        done, said = put_right(finding, named=False)
    assert not done
    assert "is in progress" in said
    assert world.calls == []


def test_a_guest_that_runs_again_meanwhile_is_left_alone(world: World) -> None:
    world.suspend()
    (finding,) = world.find()
    world.xen.change(7, None)
    assert put_right(finding, named=False) == (True, "it runs again")
    assert world.calls == []


def test_an_orphaned_helper_is_ended(world: World, helper: subprocess.Popen[bytes]) -> None:
    world.looks = [Toolstacks([Helper(helper.pid, 7, True)], [], [])]
    assert world.recover() == [(True, f"save-helper {helper.pid} ended")]


def test_a_helper_that_does_not_hear_is_killed(
    monkeypatch: pytest.MonkeyPatch, helper: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(settle, "TERM_SECONDS", 0.2)
    helper.send_signal(signal.SIGSTOP)
    assert settle.end_helper(helper.pid, 7) == f"save-helper {helper.pid} ended"


def test_a_half_built_domain_is_destroyed(world: World) -> None:
    world.half_build()
    (finding,) = world.find()
    assert "is half built, and nobody is building it" in finding.what
    assert put_right(finding, named=False) == (True, "domain 7 destroyed")


def test_a_domain_of_which_libxl_has_no_trace_is_left_alone_unless_named(world: World) -> None:
    """Such as a fork of a VM, or what another toolstack builds."""
    world.half_build()
    world.store.remove(paths.domain(7))
    (finding,) = world.find()
    assert put_right(finding, named=False) == (False, "left as it is: libxl has no trace of it: it may be another tool's")
    assert put_right(finding, named=True) == (True, "domain 7 destroyed")


@pytest.mark.parametrize("what", ["its device model ran", "it ran", "pvh", "pv", "a helper fills it"])
def test_a_paused_domain_that_is_not_half_built_is_left_alone(world: World, what: str) -> None:
    world.half_build()
    if what == "its device model ran":
        world.store.nodes[f"{paths.device_model(7, 0)}/state"] = "running"
    if what == "it ran":
        world.xen.all[7] = world.xen.all[7]._replace(cpu_time=1)
    if what == "pvh":
        world.store.nodes[paths.domain_type(7)] = "pvh"
    if what == "pv":
        world.xen.all[7] = world.xen.all[7]._replace(hvm=False)
    if what == "a helper fills it":
        world.looks = [Toolstacks([Helper(41, 7, False)], [], [])]
    assert world.find() == []


@pytest.mark.parametrize(
    "there", [Toolstacks([], [Xl(40, "create", "")], []), Toolstacks([], [Xl(40, "create", "web1")], [])]
)
def test_a_domain_that_somebody_may_be_building_waits_to_be_named(world: World, there: Toolstacks) -> None:
    world.half_build()
    world.looks = [there]
    assert world.recover() == [(False, "left as it is: xl create (pid 40) may be building it")]
    assert world.recover(named=True) == [(True, "domain 7 destroyed")]


@pytest.mark.parametrize("name", ["qemu-save.7", "qemu-resume.7", "qemu-save.99"])
def test_a_device_models_state_that_nobody_uses_is_removed(world: World, name: str) -> None:
    (world.library / name).touch()
    (world.library / "qemu-save.7.log").touch()
    (world.library / "qemu-save.8").symlink_to("qemu-save.7.log")
    assert world.recover() == [(True, "removed")]
    assert sorted(path.name for path in world.library.glob("qemu-*")) == ["qemu-save.7.log", "qemu-save.8"]


def test_a_device_models_state_that_somebody_may_use_is_left_alone(world: World) -> None:
    (world.library / "qemu-save.7").touch()
    with Journal("save", UUID, "web1", world.library / "pyxl"):
        assert world.find() == []
    world.looks = [SAVING]
    assert world.find() == []


def test_one_guest_alone(world: World) -> None:
    world.suspend()
    world.xen.all[8] = world.xen.all[7]._replace(domid=8, uuid=UUID[:-1] + "f")
    (world.library / "qemu-save.99").touch()
    assert [finding.domid for finding in world.find(UUID)] == [7]
    assert [finding.domid for finding in world.find()] == [7, 8, 99]
