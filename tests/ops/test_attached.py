"""What a running guest is given or loses: what is refused before anything is done, and that no other operation is on it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Busy, Journal
from pyxl.errors import OperationError
from pyxl.formats.xlcfg import disk as grammar
from pyxl.model.domain import ShutdownReason
from pyxl.ops import block, memory, network
from tests.fakes.host import UUID, FakeStore, FakeXen, running, web1

#: As libxl writes them: an empty drive and a disk of domain 7, and a disk that domain 8 writes to.
NODES = {
    "/libxl/7/device/vbd/5632/backend": "/local/domain/0/backend/qdisk/7/5632",
    "/libxl/7/device/vbd/5632/dev": "hdc",
    "/libxl/7/device/vbd/5632/device-type": "cdrom",
    "/libxl/7/device/vbd/5632/params": "aio:",
    "/libxl/7/device/vbd/5632/mode": "r",
    "/libxl/7/device/vbd/51792/backend": "/local/domain/0/backend/vbd/7/51792",
    "/libxl/7/device/vbd/51792/dev": "xvdf",
    "/libxl/7/device/vbd/51792/device-type": "disk",
    "/libxl/7/device/vbd/51792/params": "aio:/srv/f.raw",
    "/libxl/7/device/vbd/51792/mode": "w",
    "/local/domain/7/device/vbd/51792/state": "4",
    "/local/domain/7/device/vbd/51792/event-channel": "9",
    "/local/domain/7/device/vbd/51792/ring-ref": "one",
    "/libxl/7/device/vif/0/backend": "/local/domain/0/backend/vif/7/0",
    "/libxl/7/device/vif/0/mac": "00:16:3e:00:00:01",
    "/local/domain/7/device/vif/0/tx-ring-ref": "768",
    "/local/domain/7/memory/target": "131072",
    "/local/domain/7/memory/static-max": "262144",
    "/local/domain/7/memory/videoram": "-1",
}


class Guest:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.xen = FakeXen(self.calls, running(), running(8)._replace(uuid=UUID.replace("1", "2")))
        self.store = FakeStore(web1() | NODES)
        self.host = (self.xen, self.store, lambda *_: None, running())

    def attach(self, spec: str) -> None:
        block.attach(*self.host, grammar.parse(spec), print)


@pytest.fixture
def guest() -> Guest:
    return Guest()


def test_lists_have_what_the_guest_has_written_and_minus_one_for_what_it_has_not(guest: Guest) -> None:
    drive, disk = block.disks(guest.store, 7)
    assert (drive.vdev, drive.cdrom, drive.writable, drive.target, drive.state) == ("hdc", True, False, "", -1)
    assert (disk.devid, disk.target, disk.state, disk.event_channel, disk.ring_ref) == (51792, "/srv/f.raw", 4, 9, -1)
    (nic,) = network.nics(guest.store, 7)
    assert (nic.mac, nic.tx_ring_ref, nic.rx_ring_ref, nic.backend_domid) == ("00:16:3e:00:00:01", 768, -1, 0)


def test_a_disk_is_attached_as_its_specification_says(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a.raw").touch()
    guest.attach(f"vdev=xvdg,access=ro,target={tmp_path}/a.raw")
    (call,) = guest.calls
    assert call.startswith("attach 7 disk ")
    given = json.loads(call.removeprefix("attach 7 disk "))
    assert (given["vdev"], given["readwrite"], given["format"]) == ("xvdg", 0, "raw")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("vdev=xvdg,target={0}/none.raw", "disk xvdg is missing: {0}/none.raw"),
        ("vdev=xvdf,target={0}/a.raw", "the guest has a disk xvdf already"),
        ("vdev=xvdg,target={0}/b.raw", "disk xvdg is in use: domain 8"),
    ],
    ids=["missing", "vdev taken", "another writes"],
)  # fmt: skip
def test_a_disk_is_refused_before_anything_is_done(guest: Guest, tmp_path: Path, spec: str, said: str) -> None:
    for name in ("a.raw", "b.raw"):
        (tmp_path / name).touch()
    guest.store.nodes["/local/domain/0/backend/qdisk/8/51712/params"] = f"aio:{tmp_path}/b.raw"
    guest.store.nodes["/local/domain/0/backend/qdisk/8/51712/mode"] = "w"
    with pytest.raises(OperationError) as error:
        guest.attach(spec.format(tmp_path))
    assert str(error.value).startswith(f'block-attach 7 "web1": {said.format(tmp_path)}')
    assert guest.calls == []


def each(guest: Guest, directory: Path) -> list[Callable[[], object]]:
    """Return each change to the guest."""
    (directory / "a.raw").touch()
    target = f"vdev=xvdg,target={directory}/a.raw"
    disc = {"vdev": "hdc", "format": "empty"}
    return [
        lambda: guest.attach(target), lambda: block.detach(*guest.host, "xvdf", print),
        lambda: block.change_disc(*guest.host, disc, print),
        lambda: network.attach(*guest.host, {"script": "vif-route"}, print), lambda: network.detach(*guest.host, "0", print),
        lambda: memory.set_memory(*guest.host, 65536, print), lambda: memory.set_most(*guest.host, 262144, print),
    ]  # fmt: skip


def test_nothing_is_changed_while_another_operation_holds_the_guest(guest: Guest, tmp_path: Path) -> None:
    with Journal("save", UUID, "web1"):
        for act in each(guest, tmp_path):
            with pytest.raises(Busy, match='a save of "web1"'):
                act()
    assert guest.calls == []
    for act in each(guest, tmp_path):
        act()
    assert len({call.split()[0] for call in guest.calls}) == 6


def test_nothing_is_changed_of_a_guest_that_xl_saves(guest: Guest, tmp_path: Path) -> None:
    guest.xen.change(7, ShutdownReason.SUSPEND)
    for act in each(guest, tmp_path):
        with pytest.raises(OperationError, match="the guest is suspended: somebody saves it"):
            act()
    assert guest.calls == []


def test_a_disk_that_the_guest_does_not_release(guest: Guest) -> None:
    guest.xen.fail = {"detach_disk"}
    with pytest.raises(OperationError, match=r'^block-detach 7 "web1": detach_disk: ') as error:
        block.detach(*guest.host, "51792", print)
    assert "unmount it there" in error.value.hint and "--force" in error.value.hint
    assert guest.calls == ["detach_disk 7 xvdf False"]


def test_devices_that_are_not_there(guest: Guest) -> None:
    with pytest.raises(OperationError, match='the guest has no disk "xvdz"') as error:
        block.detach(*guest.host, "xvdz", print)
    assert error.value.hint == "Its disks: hdc, xvdf."
    with pytest.raises(OperationError, match='the guest has no network card "3"') as error:
        network.detach(*guest.host, "3", print)
    assert error.value.hint == "Its network cards: 0 (00:16:3e:00:00:01)."
    with pytest.raises(OperationError, match="disk xvdf is no CD-ROM drive"):
        block.change_disc(*guest.host, grammar.parse("vdev=xvdf,devtype=cdrom,target="), print)
    with pytest.raises(OperationError, match="this host has no bridge nowhere0"):
        network.attach(*guest.host, {"bridge": "nowhere0"}, print)
    with pytest.raises(OperationError, match="the guest has a card 0 already"):
        network.attach(*guest.host, {"devid": 0}, print)
    assert guest.calls == []


def test_a_disc_that_is_missing_stays_out(guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r'^cd-insert 7 "web1": disk hdc is missing: '):
        block.change_disc(*guest.host, grammar.parse(f"vdev=hdc,devtype=cdrom,target={tmp_path}/none.iso"), print)
    assert guest.calls == []


def test_an_empty_drive_of_a_qemu_that_would_crash_stays_empty(guest: Guest, tmp_path: Path) -> None:
    disc = tmp_path / "disc.iso"
    disc.touch()
    (drive,) = (disk for disk in block.disks(guest.store, 7) if disk.vdev == "hdc")
    guest.store.write(f"{drive.backend}/state", "1")
    with pytest.raises(OperationError, match="drive hdc was empty when the guest was started"):
        block.change_disc(*guest.host, grammar.parse(f"vdev=hdc,devtype=cdrom,target={disc}"), print)
    assert guest.calls == []


def test_memory_stays_below_the_most_and_the_most_above_what_there_is(guest: Guest) -> None:
    with pytest.raises(OperationError, match=r'^mem-set 7 "web1": the domain may have 256 MiB at most') as error:
        memory.set_memory(*guest.host, 300 << 10, print)
    assert "`pyxl mem-max 7 300`" in error.value.hint
    with pytest.raises(OperationError, match=r'^mem-max 7 "web1": the domain is to have 128 MiB'):
        memory.set_most(*guest.host, 64 << 10, print)
    assert guest.calls == []
