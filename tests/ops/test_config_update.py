"""A config that waits for a guest's next reboot: where it is kept, and what the monitor makes of it."""

import json
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Busy, Journal
from pyxl.model import paths
from pyxl.model.domain import ShutdownReason
from pyxl.ops import config_update, monitor
from tests.fakes.host import UUID, FakeStore, FakeXen, running, web1

CONFIG = 'name = "web1"\ntype = "hvm"\nmemory = 256\n'


class Guest:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.xen = FakeXen(self.calls, running())
        self.store = FakeStore(web1())
        self.host = (self.xen, self.store, lambda *_: None, running())


@pytest.fixture
def guest() -> Guest:
    return Guest()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "LIB_DIRECTORY", str(tmp_path))
    return tmp_path


def reboot(guest: Guest, library: Path, kept: str) -> list[str]:
    """Have the guest reboot under pyxl's monitor, with that config kept; return the log."""
    log: list[str] = []
    (library / f"userdata-d.7.{UUID}.xl").write_text(kept)
    guest.xen.change(7, ShutdownReason.REBOOT)
    monitor.act(guest.xen, guest.store, lambda *_: None, guest.xen.all[7], log.append)
    return log


def test_the_next_reboot_takes_what_config_update_has_kept(guest: Guest, library: Path) -> None:
    living = config_update.keep(*guest.host, CONFIG, print)
    assert living.target_kb == 131072
    kept = guest.calls[-1].removeprefix("keep_update 7 ")
    assert kept == CONFIG + f'\nuuid = "{UUID}"\n'
    assert "the config of config-update is taken" in reboot(guest, library, kept)
    created = json.loads(guest.xen.created)
    assert (created["b_info"]["target_memkb"], created["c_info"]["uuid"]) == (262144, UUID)


def test_a_guest_reboots_as_it_is_where_what_was_kept_is_wrong(guest: Guest, library: Path) -> None:
    log = reboot(guest, library, "memory = [\n")
    assert any("is not taken" in line for line in log)
    assert json.loads(guest.xen.created)["b_info"]["target_memkb"] == 131072


def test_a_config_with_a_uuid_keeps_that(guest: Guest) -> None:
    config_update.keep(*guest.host, CONFIG + f'uuid = "{UUID}"\n', print)
    assert guest.calls[-1].count("uuid") == 1


def test_nothing_is_kept_for_a_guest_that_is_being_saved(guest: Guest) -> None:
    with Journal("save", UUID, "web1"), pytest.raises(Busy, match='a save of "web1"'):
        config_update.keep(*guest.host, CONFIG, print)
    assert guest.calls == []
