"""Disks that are copied with a checkpoint, while their guest is away, and go when the save fails."""

import json
import os
import time
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Journal
from pyxl.checkpoint.undo import Undo
from pyxl.disks import copies
from pyxl.errors import OperationError, PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream.trailer import Identity
from pyxl.model.copied import Copied
from pyxl.model.live import Live
from pyxl.model.phases import After, Phase
from pyxl.model.report import Report
from pyxl.ops.checkpoint import open_checkpoint
from pyxl.ops.disks_in_step import check_stood_still, put_back, remove_checkpoint
from pyxl.ops.restore import restore
from pyxl.ops.settle import hold
from tests.fakes.host import CONFIG, UUID, FakeStore, FakeXen
from tests.ops.conftest import World


@pytest.fixture
def disk(world: World) -> Path:
    """The disk of web1, which holds "of web1"."""
    path = world.target.parent / "web1.raw"
    path.write_bytes(b"of web1")
    disks = [{"pdev_path": str(path), "vdev": "hda", "format": "raw", "readwrite": 1}]
    world.xen.config = json.dumps({**CONFIG, "disks": disks})
    return path


def identity_of(world: World) -> Identity:
    with open_checkpoint(world.target) as checkpoint:
        assert checkpoint.identity is not None
        return checkpoint.identity


def test_a_copy_is_made_while_the_guest_is_away_and_is_in_the_trailer(
    world: World, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = copies.make

    def note(copied: Copied, made: list[Copied]) -> Copied:
        world.calls.append("disks")
        return make(copied, made)

    monkeypatch.setattr(copies, "make", note)
    world.save(After.RESUME, disks="copy")
    assert world.calls[-4:] == ["dm.save", "disks", "dm.resume", "resume 7"]
    (copied,) = identity_of(world).disks
    assert (copied.vdev, copied.base, copied.size) == ("hda", str(disk), 7)
    assert Path(copied.path).read_bytes() == b"of web1"
    assert Path(copied.path).name.startswith("checkpoint-2") and copies.changed(copied) == ""
    assert remove_checkpoint(world.target) == "" and world.files() == ["web1.raw"]


@pytest.mark.parametrize("live", [None, Live(300, 3)])
def test_a_guest_goes_on_when_its_disk_cannot_be_copied(world: World, disk: Path, live: Live | None) -> None:
    program = world.target.parent.parent / "hook"
    program.write_text('#!/bin/sh\n[ $1 = target ] && echo "$2.copy" && exit\n[ $1 = remove ] && exec rm -f $2\n'
                       "echo half > $4; echo no room >&2; exit 1\n")  # fmt: skip
    program.chmod(0o755)
    said = r"disks: .*no room; guest resumed, copies of its disks removed, nothing written$"
    with pytest.raises(OperationError, match=said):
        world.save(After.RESUME, disks=f"hook:{program}", live=live)
    assert world.calls[-2:] == ["dm.resume", "resume 7"] and world.files() == ["web1.raw"]


def test_a_disk_that_cannot_be_copied_is_refused_before_the_guest_is_asked(world: World, disk: Path) -> None:
    with pytest.raises(OperationError, match="preflight: qcow2 needs a disk that nobody writes to"):
        world.save(After.RESUME, disks="qcow2")
    assert world.calls == ["config_json 7"]


@pytest.mark.parametrize("is_whole", [False, True])
def test_what_a_dead_save_has_copied_goes_unless_its_file_is_whole(world: World, disk: Path, is_whole: bool) -> None:
    if is_whole:
        world.save(After.RESUME, disks="copy")
    journal = Journal("save", UUID, "web1")
    journal.note(since=0)
    copied = Copied("hda", "copy", str(disk), "raw", str(disk) + ".copy", "raw")
    Path(copied.path).write_bytes(b"half")
    journal.note(phase=Phase.COMMIT.name, target=str(world.target), copies=json.dumps([copied]), domid=7, after="RESUME")
    journal.leave()
    said: list[str] = []
    hold(world.xen, world.store, lambda *_: world.dm, "save", UUID, "web1", said.append).close()
    assert Path(copied.path).exists() is is_whole
    assert any(f"{copied.path} removed" in line for line in said) is not is_whole


def test_a_disk_that_has_gone_on(disk: Path) -> None:
    wrote = disk.stat().st_mtime
    check_stood_still("hda", disk, wrote)
    check_stood_still("hda", disk, None)
    check_stood_still("hda", Path("/dev/null"), 0.0)
    with pytest.raises(PyxlError, match="disk hda has gone on without the checkpoint"):
        check_stood_still("hda", disk, wrote - 60)


def restored(world: World, xen: FakeXen, *, disks: bool, force: bool = False) -> list[str]:
    """Restore the checkpoint; return what was remarked."""
    report = Report()
    said: list[str] = []
    report.remark = said.append  # type: ignore[method-assign,assignment]
    with open_checkpoint(world.target) as checkpoint:
        config = GuestConfig(checkpoint.header.config.decode(), str(world.target))
        restore(xen, FakeStore({}), lambda *_: None, checkpoint, config, report, disks=disks, force=force)
    return said


@pytest.fixture
def gone_on(world: World, disk: Path) -> Path:
    """A disk of which a copy belongs to a checkpoint, and that was written to since."""
    world.save(After.RESUME, disks="copy")
    write_later(disk)
    return disk


def write_later(disk: Path) -> None:
    """Write to a disk, a minute from now."""
    disk.write_bytes(b"later")
    later = time.time() + 60
    os.utime(disk, (later, later))


def test_a_restore_puts_disks_back(world: World, gone_on: Path) -> None:
    calls: list[str] = []
    xen = FakeXen(calls)
    files = world.files()
    said = r"disk hda has gone on without the checkpoint"
    with pytest.raises(OperationError, match=said) as refused:
        restored(world, xen, disks=False)
    assert "`--disks` puts it back as it was then." in refused.value.hint
    assert (calls, gone_on.read_bytes()) == ([], b"later")
    for _ in range(2):
        restored(world, xen, disks=True)
        assert (gone_on.read_bytes(), world.files()) == (b"of web1", files)
        xen.all.clear()
        write_later(gone_on)
    assert any(said in each for each in restored(world, FakeXen([]), disks=False, force=True))


@pytest.mark.parametrize("failing", ["restore", "unpause"])
def test_a_restore_that_fails_leaves_disks_as_they_were(world: World, gone_on: Path, failing: str) -> None:
    files, xen = world.files(), FakeXen([])
    xen.fail = {failing}
    with pytest.raises(OperationError) as failed:
        restored(world, xen, disks=True)
    if failing == "restore":
        assert "disks as before" in str(failed.value)
    assert (gone_on.read_bytes(), world.files()) == (b"later", files)


def test_a_restore_that_dies_leaves_disks_as_they_were(world: World, gone_on: Path) -> None:
    files = world.files()
    with open_checkpoint(world.target) as checkpoint:
        assert checkpoint.identity is not None
        belonging = checkpoint.identity.disks
    journal = Journal("restore", UUID, "web1")
    undo = Undo("restore")
    undo.keep(journal)
    asides = put_back(undo, belonging, "web1")
    assert gone_on.read_bytes() == b"of web1" and Path(asides[0].path).read_bytes() == b"later"
    journal.leave()
    said: list[str] = []
    hold(FakeXen([]), FakeStore({}), lambda *_: None, "restore", UUID, "web1", said.append).close()
    assert (gone_on.read_bytes(), world.files()) == (b"later", files) and any("disks as before" in line for line in said)


def test_what_is_no_copy_any_more_is_refused(world: World, gone_on: Path) -> None:
    (copied,) = identity_of(world).disks
    Path(copied.path).write_bytes(b"by somebody else")
    said = r"disk hda of the checkpoint is not what was saved: .* has 16 bytes, and had 7"
    with pytest.raises(OperationError, match=said):
        restored(world, FakeXen([]), disks=True)
    Path(copied.path).unlink()
    with pytest.raises(OperationError, match="is missing"):
        restored(world, FakeXen([]), disks=True)
    assert gone_on.read_bytes() == b"later"


def test_a_checkpoint_that_others_may_write_to_is_not_believed(world: World, gone_on: Path) -> None:
    (copied,) = identity_of(world).disks
    world.target.chmod(0o666)
    with pytest.raises(OperationError, match="belong to the checkpoint, or it is not root's alone to write to"):
        restored(world, FakeXen([]), disks=True)
    assert remove_checkpoint(world.target) == "" and Path(copied.path).exists()
    assert gone_on.read_bytes() == b"later"


def test_a_copy_that_is_somebody_else_s_now_is_not_removed(world: World, gone_on: Path) -> None:
    (copied,) = identity_of(world).disks
    Path(copied.path).write_bytes(b"another")
    assert "was written to" in copies.changed(copied)
    assert f"{copied.path} is left: " in remove_checkpoint(world.target)
    assert Path(copied.path).exists() and world.target.exists()
    Path(copied.path).unlink()
    assert remove_checkpoint(world.target) == "" and not world.target.exists()


def test_a_checkpoint_without_disks(world: World, disk: Path) -> None:
    world.save()
    with pytest.raises(OperationError, match="no copies of disks belong to the checkpoint"):
        restored(world, FakeXen([]), disks=True)
    restored(world, FakeXen([]), disks=False)
