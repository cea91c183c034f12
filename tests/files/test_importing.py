"""`pyxl import` and `export`: what goes into a repository comes out as a conversion of it would be."""

import gzip
import time
from pathlib import Path

import pytest

from pyxl.errors import OperationError
from pyxl.files.convert import convert_file
from pyxl.files.diff import diff
from pyxl.files.importing import import_file
from pyxl.files.verify import verify
from pyxl.formats.stream import trailer
from pyxl.model.report import Report
from pyxl.repository.repository import Repository
from tests.files.test_in_order import live
from tests.formats.legacy import streams as legacy
from tests.formats.stream import streams

GOLDEN = Path(__file__).parents[1] / "golden"
GUEST = streams.guest(streams.memory({gfn: bytes([gfn % 251]) * 4096 for gfn in range(0, 3000, 2)}), vcpus=2)


def files() -> dict[str, bytes]:
    live_one, _ = live()
    pyxl_s = gzip.decompress((GOLDEN / "pyxl-hvm.ckpt.gz").read_bytes())
    return {
        "pyxl's": pyxl_s, "of a live save": live_one, "compressed": streams.compressed(live_one),
        "pyxl's with two vcpus": gzip.decompress((GOLDEN / "pyxl-hvm-2vcpus-disks.ckpt.gz").read_bytes()),
    }  # fmt: skip


def exported(checkpoint: Path, to: Path) -> bytes:
    convert_file(checkpoint, to, Report(), verb="export")
    return to.read_bytes()


@pytest.mark.parametrize("name", files())
def test_it_comes_out_byte_by_byte_as_its_conversion(name: str, tmp_path: Path) -> None:
    file, repository = tmp_path / "file", tmp_path / "repository"
    file.write_bytes(files()[name])
    convert_file(file, tmp_path / "converted", Report())
    for _ in range(2):
        done = import_file(file, repository, Report())
        assert exported(done.path, tmp_path / "exported") == (tmp_path / "converted").read_bytes()
        assert verify(done.path).findings == []
    assert done.share.facts.number == 2 and done.share.facts.new == 0


@pytest.mark.parametrize("data", [GUEST, legacy.file(legacy.GUESTS["hvm 64"].encode(), streams.CONFIG, is_json=True)])
def test_what_has_no_trailer_is_the_guest_s_of_its_config(data: bytes, tmp_path: Path) -> None:
    file, repository = tmp_path / "file", tmp_path / "repository"
    file.write_bytes(data)
    done = import_file(file, repository, Report())
    assert (done.share.facts.uuid, done.share.facts.name) == ("6b1d9b2e-0000-4000-8000-000000000001", "web1")
    assert done.share.facts.saved == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(file.stat().st_mtime))
    exported(done.path, tmp_path / "exported")
    assert diff(file, tmp_path / "exported").is_same and diff(file, done.path).is_same
    assert verify(tmp_path / "exported").findings == []


def test_only_pages_that_differ_from_the_same_guest_s_newest_are_written(tmp_path: Path) -> None:
    file, repository = tmp_path / "file", tmp_path / "repository"
    file.write_bytes(GUEST)
    first = import_file(file, repository, Report()).share.facts
    changed = GUEST.replace(bytes([6]) * 4096, bytes([7]) * 4096, 1)
    file.write_bytes(changed)
    second = import_file(file, repository, Report()).share.facts
    file.write_bytes(changed.replace(b"000000000001", b"000000000002"))
    other = import_file(file, repository, Report()).share.facts
    assert (first.pages, first.zero, first.new, second.new, other.new) == (1500, 6, 1494, 1, 1494)


def test_a_guest_without_a_uuid_is_known_by_its_name(tmp_path: Path) -> None:
    file, repository = tmp_path / "file", tmp_path / "repository"
    found = {}
    for name in ("web1", "web1", "web2"):
        data = streams.checkpoint(marked=True).replace(b'"uuid"', b'"none"')
        file.write_bytes(streams.summed(data, trailer.Identity(name=name)))
        facts = import_file(file, repository, Report()).share.facts
        found[facts.number] = facts.uuid, facts.new
    assert found[1][0] == found[2][0] != found[3][0]
    assert [new for _, new in found.values()] == [2, 0, 2]


def test_one_of_another_repository(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(GUEST)
    first = import_file(file, tmp_path / "one", Report())
    second = import_file(first.path, tmp_path / "other", Report())
    assert exported(first.path, tmp_path / "a") == exported(second.path, tmp_path / "b")
    assert second.share.facts.saved == first.share.facts.saved


def refused(file: Path, repository: Path) -> str:
    with pytest.raises(OperationError) as error:
        import_file(file, repository, Report())
    if repository.exists():
        assert Repository(repository).numbers() == [] and not [*(repository / "packs").iterdir()]
    return str(error.value)


def test_what_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    file, repository = tmp_path / "file", tmp_path / "repository"
    whole = streams.summed(streams.checkpoint(marked=True))
    file.write_bytes(gzip.decompress((GOLDEN / "xl-pv.ckpt.gz").read_bytes()))
    assert refused(file, repository).endswith(
        "a PV guest's pages have types, and stay in the order in which they were saved; nothing written")
    at = whole.index(b"\2" * 4096)
    file.write_bytes(whole[:at] + b"\3" + whole[at + 1 :])
    assert "block 1 of 1 is not what was saved" in refused(file, repository)
    file.write_bytes(whole[:-1])
    assert "file ends 1 bytes too early" in refused(file, repository)
    file.write_bytes(legacy.file(legacy.Hvm(state=legacy.TRADITIONAL_STATE).encode(), b"name = 'old'\n"))
    assert "qemu-traditional" in refused(file, repository)
    file.write_bytes(whole)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").touch()
    with pytest.raises(OperationError, match="is no repository, and not empty"):
        import_file(file, tmp_path / "full", Report())


def test_a_converted_file_must_be_as_it_was_saved(tmp_path: Path) -> None:
    whole = streams.summed(streams.checkpoint(marked=True))
    at = whole.index(b"\2" * 4096)
    (tmp_path / "old").write_bytes(whole[:at] + b"\3" + whole[at + 1 :])
    with pytest.raises(OperationError, match=r"check file: block 1 of 1 is not what was saved"):
        convert_file(tmp_path / "old", tmp_path / "new", Report())
    assert not (tmp_path / "new").exists()


def test_a_full_one_has_every_page(tmp_path: Path) -> None:
    file, repository = tmp_path / "file", tmp_path / "repository"
    file.write_bytes(GUEST)
    first = import_file(file, repository, Report()).share.facts
    assert import_file(file, repository, Report()).share.facts.new == 0
    assert import_file(file, repository, Report(), is_full=True).share.facts.new == first.new > 0
