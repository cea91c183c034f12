"""Save: what each failure and interrupt leaves behind."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxl.checkpoint import compressing, journal
from pyxl.checkpoint.undo import Undo
from pyxl.errors import OperationError, PyxlError, StoreTimeout
from pyxl.files.verify import verify
from pyxl.model import paths
from pyxl.model.compression import Compression
from pyxl.model.domain import ShutdownReason
from pyxl.model.phases import After, Owed, Phase
from pyxl.model.report import Report
from pyxl.ops import suspend
from pyxl.ops.save import SaveOrder, save
from tests.ops.conftest import World


def test_a_full_disk_leaves_a_compressed_save_s_guest_running(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compressing.Compressing, "put", full)
    with pytest.raises(OperationError, match=r"No space left on device; guest (resumed|still running), nothing written"):
        world.save(compression=Compression())
    assert world.files() == []
    assert not world.xen.all[7].suspended


def breaks_dm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.dm.fail = {"dm.save"}


def breaks_config(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.xen.fail = {"config_json"}


def guest_is_mute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspend, "ACKNOWLEDGE_SECONDS", 0.02)
    world.store.on_wait = lambda: None


def guest_acknowledges_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspend, "SUSPEND_SECONDS", 0.02)
    monkeypatch.setattr(suspend, "CALL_OFF_SECONDS", 0.02)
    world.store.on_wait = lambda: world.store.write(paths.control_shutdown(7), "")


def guest_crashes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        world.store.write(paths.control_shutdown(7), "")
        world.xen.change(7, ShutdownReason.CRASH)

    world.store.on_wait = crash


def guest_crashes_silently(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store.on_wait = lambda: world.xen.change(7, ShutdownReason.CRASH)


def helper(step: str) -> "Callable[[World, pytest.MonkeyPatch], None]":
    def breaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAKE_HELPER_FAIL", step)

    return breaks


FAILURES = [
    (breaks_config, "preflight", "config_json: Input/output error"),
    (breaks_dm, "device model", "guest resumed, nothing written"),
    (guest_is_mute, "suspend", "guest still running, nothing written"),
    (guest_acknowledges_only, "suspend", "not suspended within 0 s; guest still running, nothing written"),
    (guest_crashes, "shut down while it was to suspend: crash", "the guest has shut down, nothing written"),
    (guest_crashes_silently, "shut down while it was to suspend: crash", "the guest has shut down, nothing written"),
    (helper("start"), "the save-helper died", "guest still running, nothing written"),
    (helper("junk"), "broke its protocol", "guest still running, nothing written"),
    (helper("kill"), "the save-helper died", "guest still running, nothing written"),
    (helper("memory"), "No space left on device: Failed to write page data", "guest resumed, nothing written"),
    (helper("status"), "ended with status 1", "guest resumed, nothing written"),
]


@pytest.mark.parametrize("compression", [None, Compression()], ids=["plain", "compressed"])
@pytest.mark.parametrize(("breaks", "cause", "undone"), FAILURES)
def test_every_failure_says_what_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch,
    breaks: "Callable[[World, pytest.MonkeyPatch], None]", cause: str, undone: str, compression: Compression | None,
) -> None:  # fmt: skip
    breaks(world, monkeypatch)
    with pytest.raises(OperationError) as caught:
        world.save(compression=compression)
    said = str(caught.value)
    assert said.startswith('save 7 "web1": ')
    assert cause in said
    assert said.endswith(undone)
    assert "\n" not in said
    assert world.files() == []
    assert "destroy 7" not in world.calls
    assert not world.xen.all[7].suspended
    assert world.store.nodes[paths.control_shutdown(7)] == ""


@pytest.mark.parametrize("compression", [None, Compression()], ids=["plain", "compressed"])
def test_interrupt_resumes_the_guest(world: World, compression: Compression | None) -> None:
    def interrupt() -> bytes:
        raise KeyboardInterrupt

    world.dm.stop_and_save = interrupt  # type: ignore[method-assign]
    with pytest.raises(OperationError, match="interrupted; guest resumed, nothing written"):
        world.save(compression=compression)
    assert world.calls[-1] == "resume 7"
    assert world.files() == []


def test_a_guest_that_took_the_request_may_suspend_after_an_interrupt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspend, "CALL_OFF_SECONDS", 0.02)

    def take() -> None:
        world.store.write(paths.control_shutdown(7), "")
        world.store.on_wait = lambda: None
        raise KeyboardInterrupt

    world.store.on_wait = take
    with pytest.raises(OperationError, match="interrupted; guest still running, but it took the request and may yet"):
        world.save()


def test_a_guest_that_does_not_suspend_is_quoted(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guest_acknowledges_only(world, monkeypatch)
    log = tmp_path / "guest-web1.log"
    monkeypatch.setattr(paths, "console_log", lambda name: str(log))
    log.write_text("task:dd state:D\n")
    with pytest.raises(OperationError) as caught:
        world.save()
    assert caught.value.hint.split("\n")[1:] == [f"{log} ends with:", "  task:dd state:D"]


def test_a_guest_that_takes_the_request_before_the_interrupt_is_waited_for(world: World) -> None:
    """It suspends in any case, and without the wait nobody but a monitor would resume it."""

    def take() -> None:
        world.store.write(paths.control_shutdown(7), "")
        world.store.on_wait = suspend_at_last
        raise KeyboardInterrupt

    def suspend_at_last() -> None:
        world.calls.append("guest suspends")
        world.xen.change(7, ShutdownReason.SUSPEND)

    world.store.on_wait = take
    with pytest.raises(OperationError, match="suspend: interrupted; guest resumed, nothing written"):
        world.save()
    assert world.calls == ["config_json 7", "guest suspends", "dm.resume", "resume 7"]
    assert not world.xen.all[7].suspended


def test_a_device_model_that_does_not_go_on_keeps_no_guest_from_running(world: World) -> None:
    world.dm.fail = {"dm.save", "dm.resume"}
    with pytest.raises(OperationError, match=r"guest resumed, but device model of domain 7: resume: .*, nothing written"):
        world.save()
    assert world.calls[-1] == "resume 7"
    assert world.store.resumed_domids == [7]


def test_a_failed_destroy_says_that_the_file_is_whole(world: World) -> None:
    world.xen.fail = {"destroy"}
    with pytest.raises(OperationError, match="is whole, but the domain is not destroyed"):
        world.save()
    assert world.files() == ["checkpoint"]


@pytest.mark.parametrize("fails", ["dm.resume", "resumed"])
def test_what_could_not_be_undone_stays_in_the_journal(world: World, journals: Path, fails: str) -> None:
    world.dm.fail, world.dm.silent = {"dm.save"}, {fails}
    if fails == "resumed":
        world.store.resumed = lambda domid: (_ for _ in ()).throw(StoreTimeout("x", 110))  # type: ignore[method-assign]
    with pytest.raises(OperationError, match=r"guest resumed, but .*, nothing written") as caught:
        world.save()
    assert "pyxl recover" in caught.value.hint
    assert not world.xen.all[7].suspended
    (entry,) = journal.dead()
    assert (entry.operation, entry.phase, entry.domid, entry.name) == ("save", "DEVICE_MODEL", 7, "web1")


def test_a_domain_that_is_not_destroyed_stays_in_the_journal(world: World) -> None:
    world.xen.fail = {"destroy"}
    with pytest.raises(OperationError):
        world.save()
    assert [entry.phase for entry in journal.dead()] == ["SETTLE"]


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.name)
def test_what_is_owed_is_undone_in_one_order(phase: Phase) -> None:
    undone: list[Owed] = []
    with pytest.raises(OperationError, match=f"^x: {phase.text}: broken"), Undo("x") as undo:
        for owed in reversed(Owed):
            undo.by(owed, lambda owed=owed: undone.append(owed))  # type: ignore[misc]
        undo.enter(phase)
        raise PyxlError("broken")
    assert undone == [owed for owed in Owed if owed in phase.owes]


def test_a_pipe_that_nobody_reads_leaves_the_guest_running(world: World) -> None:
    ends = os.pipe()
    os.close(ends[0])
    order = SaveOrder(world.xen.all[7], ends[1], After.DESTROY)
    with pytest.raises(OperationError, match="Broken pipe; guest resumed, nothing written"):
        save(world.xen, world.store, lambda *_: world.dm, order, Report())
    os.close(ends[1])
    assert not world.xen.all[7].suspended


def test_a_name_that_the_disk_does_not_confirm_keeps_the_guest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there, but a crash may lose its name: so the guest must stay."""
    sync = os.fsync

    def fail_on_its_directory(fd: int) -> None:
        if os.path.samestat(os.fstat(fd), world.target.parent.stat()):
            raise OSError(5, "Input/output error")
        sync(fd)

    monkeypatch.setattr(os, "fsync", fail_on_its_directory)
    with pytest.raises(OperationError, match=r"commit: .*its name may not outlast a crash of this host; guest resumed$"):
        world.save()
    assert verify(world.target) is not None
    assert "destroy 7" not in world.calls
