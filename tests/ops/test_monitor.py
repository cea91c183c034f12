"""What a guest's monitor does for each way a guest can end; a suspend is not an end."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyxl.checkpoint.journal import Journal, holder
from pyxl.errors import StoreError, XenError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.ops import monitor as module
from pyxl.ops.monitor import attend
from pyxl.ops.placement import fit_placement
from pyxl.ops.recover import Finding
from tests.fakes.host import CONFIG, UUID, FakeStore, FakeXen, running, web1

HEAL = module.heal


@pytest.fixture(autouse=True)
def heal(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    healed: list[int] = []

    def note(_xen: object, _store: object, _open_dm: object, domain: DomainInfo, _log: object) -> bool:
        healed.append(domain.domid)
        return True

    monkeypatch.setattr("pyxl.ops.monitor.heal", note)
    return healed


class Guest:
    """A monitored guest; each wait takes the next event from ``script``."""

    def __init__(self, *script: object, **config: str) -> None:
        self.calls: list[str] = []
        self.said: list[str] = []
        self.xen = FakeXen(self.calls, running())
        self.xen.config = json.dumps({**CONFIG, **config})
        self.store = FakeStore(web1())
        self.store.on_wait = self.happen
        self.script = list(script)

    def happen(self) -> None:
        """Shut down the newest domain, let it run (None), let it go away, or call the event."""
        event = self.script.pop(0)
        domid = max(self.xen.all)
        if event == "gone":
            self.xen.all.pop(domid)
        elif callable(event):
            event()
        else:
            self.xen.change(domid, event)  # type: ignore[arg-type]

    def watch(self) -> list[str]:
        """Wait as the monitor does, and have attended to whatever needs it."""
        domid = 7
        while domid:
            domain = self.xen.domain(domid)
            shut_down = domain is None or domain.uuid != UUID or domain.shutdown_reason is not None
            noted = Path(paths.journal(UUID)).exists()
            if holder(UUID) is None if noted else shut_down:
                domid = self.attend(domid)
            else:
                self.happen()
        assert not self.script, f"stopped before {self.script}"
        return self.calls

    def attend(self, domid: int) -> int:
        return attend(self.xen, self.store, lambda *_: None, domid, UUID, self.said.append)


def test_a_domain_that_goes_away_ends_it() -> None:
    assert Guest("gone").watch() == []


def test_poweroff_destroys() -> None:
    assert Guest(ShutdownReason.POWEROFF).watch() == ["config_json 7", "destroy 7"]


def test_reboot_gives_a_new_domain_that_is_watched_too() -> None:
    assert Guest(ShutdownReason.REBOOT, ShutdownReason.POWEROFF).watch() == [
        "config_json 7", "destroy 7", "create web1", "unpause 8", "config_json 8", "destroy 8",
    ]  # fmt: skip


def test_a_reboot_after_the_end_of_the_guest_s_cpupool_is_in_the_host_s_own() -> None:
    guest = Guest(ShutdownReason.REBOOT, ShutdownReason.POWEROFF)
    config = json.loads(guest.xen.config)
    config["c_info"]["pool_name"] = "fast"
    guest.xen.config = json.dumps(config)
    assert guest.watch()[2] == "create web1"
    assert '"web1": cpupool "fast" is not on this host: the guest runs in the host\'s own' in guest.said


def test_a_guest_that_reboots_in_a_save_is_restarted_once_the_save_has_let_go() -> None:
    save = Journal("save", UUID, "web1")
    guest: Guest = Guest(ShutdownReason.REBOOT, lambda: guest.calls.append("waits"), save.close, ShutdownReason.POWEROFF)
    assert guest.watch()[:4] == ["waits", "config_json 7", "destroy 7", "create web1"]


def test_a_restart_is_noted_until_the_guest_runs(journals: Path) -> None:
    guest = Guest(ShutdownReason.REBOOT)
    guest.xen.fail = {"unpause"}
    noted: list[str] = []
    note = Journal.note

    def listen(journal: Journal, **facts: str | int) -> None:
        noted.append(f"{facts['phase']} after {guest.calls[-1]}")
        note(journal, **facts)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(XenError):
        patch.setattr(Journal, "note", listen)
        guest.watch()
    assert noted == ["BUILD after destroy 7", "UNPAUSE after create web1"]


def test_a_suspend_is_no_end_but_looked_into(heal: list[int]) -> None:
    guest = Guest(ShutdownReason.SUSPEND, None, ShutdownReason.SUSPEND, None, ShutdownReason.POWEROFF)
    assert guest.watch() == ["config_json 7", "destroy 7"]
    assert heal == [7, 7]


def test_a_journal_is_looked_into_while_the_guest_runs(heal: list[int], journals: Path) -> None:
    guest = Guest(None, "gone")
    (journals / UUID).touch()
    guest.watch()
    assert heal == [7, 7]


def test_a_guest_that_nobody_saves_is_not_looked_into(heal: list[int]) -> None:
    Guest(None, "gone").watch()
    assert heal == []


def test_a_saved_domain_is_gone() -> None:
    assert Guest(ShutdownReason.SUSPEND, "gone").watch() == []


@pytest.mark.parametrize(
    ("on_crash", "done"),
    [
        ("destroy", ["destroy 7"]),
        ("preserve", []),
        ("coredump_destroy", ["core_dump 7", "destroy 7"]),
        ("coredump_restart", ["core_dump 7", "destroy 7", "create web1", "unpause 8"]),
        ("restart_rename", ["preserve 7 web1", "create web1", "unpause 8"]),
    ],
)
def test_on_crash(on_crash: str, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxl.ops.monitor.Path.mkdir", lambda *_, **__: None)
    restarts = "restart" in on_crash
    guest = Guest(ShutdownReason.CRASH, *(["gone"] if restarts else []), on_crash=on_crash)
    assert guest.watch() == ["config_json 7", *done]
    said = "rename-restart" if on_crash == "restart_rename" else on_crash.replace("_", "-")
    assert any(f"crash, on_crash={said}" in line for line in guest.said)


def test_a_soft_reset_is_done_in_place() -> None:
    guest = Guest(ShutdownReason.SOFT_RESET, "gone", on_soft_reset="soft_reset")
    assert guest.watch() == ["config_json 7", "soft_reset 7", "unpause 7"]


def test_a_guest_is_built_again_until_its_disk_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("pyxl.ops.monitor.time.sleep", waited.append)
    guest = Guest(ShutdownReason.REBOOT, "gone")
    guest.xen.create_fails = 2
    assert guest.watch() == ["config_json 7", "destroy 7", *["create web1"] * 3, "unpause 8"]
    assert waited == list(module.BUILD_AGAIN_AFTER[:2])
    assert sum("could not be built, once more in" in line for line in guest.said) == 2


def test_a_xenstored_that_does_not_say_where_a_guest_may_run_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, failures = fit_placement, [StoreError("/local/pool", 5)]

    def fails_once(*given: Any) -> list[str]:
        if failures:
            raise failures.pop()
        return fit(*given)

    monkeypatch.setattr(module, "fit_placement", fails_once)
    monkeypatch.setattr("pyxl.ops.monitor.time.sleep", lambda _: None)
    guest = Guest(ShutdownReason.REBOOT, "gone")
    assert guest.watch() == ["config_json 7", "destroy 7", "create web1", "unpause 8"]
    assert sum("could not be built, once more in" in line for line in guest.said) == 1


def test_what_a_guest_needs_does_not_need_a_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(tmp_path / "file"))
    guest = Guest(ShutdownReason.REBOOT, "gone")
    assert guest.watch() == ["config_json 7", "destroy 7", "create web1", "unpause 8"]
    assert any("no journal can be kept" in line for line in guest.said)


def test_the_guest_keeps_its_uuid_and_its_corpse_gets_another() -> None:
    guest = Guest(ShutdownReason.CRASH, "gone", on_crash="restart_rename")
    guest.watch()
    assert guest.xen.all[7].uuid != UUID
    assert json.loads(guest.xen.created)["c_info"]["uuid"] == UUID


def test_a_failed_core_dump_does_not_stop_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxl.ops.monitor.Path.mkdir", lambda *_, **__: None)
    guest = Guest(ShutdownReason.CRASH, on_crash="coredump_destroy")
    guest.xen.fail = {"core_dump"}
    assert guest.watch()[-1] == "destroy 7"
    assert any("not written" in line for line in guest.said)


def test_another_domain_under_the_same_domid_is_left_alone() -> None:
    other = running()._replace(uuid="00000000-0000-4000-8000-00000000000f")
    guest: Guest = Guest(lambda: guest.xen.all.update({7: other}))
    assert guest.watch() == []


def test_watchdog_and_unknown_reasons_have_their_own_key() -> None:
    assert Guest(ShutdownReason.WATCHDOG, on_watchdog="preserve").watch() == ["config_json 7"]
    assert Guest(99, on_crash="preserve").watch() == ["config_json 7"]


class Healing:
    """Runs `heal` for a guest with these ``findings``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []

        def look(_xen: object, _store: object, _open_dm: object, uuid: str) -> SimpleNamespace:
            self.asked.append(uuid)
            return SimpleNamespace(find=lambda: findings)

        monkeypatch.setattr(module, "Recovery", look)

    def heal(self) -> bool:
        return HEAL(FakeXen([], running()), FakeStore(web1()), lambda *_: None, running(), self.said.append)


def fail() -> str:
    raise XenError("xc_domain_resume", 22)


def test_what_a_dead_save_has_left_is_put_right_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    healing = Healing(monkeypatch, Finding("it is suspended", "resume it", lambda: "guest resumed"))
    assert healing.heal()
    assert healing.said == ["it is suspended: guest resumed"]
    assert healing.asked == [UUID]


def test_a_guest_that_somebody_may_hold_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    healing = Healing(monkeypatch, Finding("it is suspended", "resume it", fail, but="libvirtd may hold it"))
    assert healing.heal()
    assert healing.said == []


def test_a_save_at_work_is_not_disturbed(heal: list[int], journals: Path) -> None:
    guest = Guest()
    guest.xen.change(7, ShutdownReason.SUSPEND)
    with Journal("save", UUID, "web1", journals):
        assert guest.attend(7) == 7
    assert heal == []


def test_what_cannot_be_put_right_is_logged_and_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    healing = Healing(monkeypatch, Finding("it is suspended", "resume it", fail))
    assert not healing.heal()
    assert healing.said == ["it is suspended: not done: xc_domain_resume: Invalid argument"]
