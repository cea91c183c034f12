"""A checkpoint of a repository is looked at like the file that it holds, and damage to it is found and named."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pyxl.checkpoint.frame_cache import FrameCache
from pyxl.errors import PyxlError, StreamError
from pyxl.files import extract
from pyxl.files.convert import convert_file
from pyxl.files.diff import CHANGED, Range, diff
from pyxl.files.guest_memory import zero_pages
from pyxl.files.inspect import inspect
from pyxl.files.memory_map import guest_map
from pyxl.files.opened import opened, settled
from pyxl.files.vcpus import vcpus
from pyxl.files.verify import Verdict, verify, verify_each
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS
from pyxl.model.report import Report
from pyxl.repository.repository import Repository
from tests.fakes.guest import PAGE, FakeGuest
from tests.formats.stream import streams
from tests.repository.guests import checkpoint


class Guest(FakeGuest):
    """Several frames of text, with a context that is one."""

    def __init__(self) -> None:
        super().__init__({gfn: f"{gfn:<15}\n".encode() * 256 if gfn % 10 else bytes(PAGE) for gfn in range(1600)})

    def context(self) -> bytes:
        return streams.context()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return one of three checkpoints: in the second, five pages have changed; the third is another guest's."""
    made = Repository.made(tmp_path / "repository")
    source = Guest()
    checkpoint(made, source)
    for gfn in (1, 2, 3, 700, 1599):
        source.pages[gfn][:] = b"changed\n" * 512
    checkpoint(made, source)
    checkpoint(made, FakeGuestOf({7: b"other" * 800 + bytes(96)}), uuid="other", name="web2")
    return made


class FakeGuestOf(Guest):
    def __init__(self, pages: dict[int, bytes]) -> None:
        FakeGuest.__init__(self, pages)


def path(repository: Repository, which: object) -> Path:
    return Path(f"{repository.path}@{which}")


def found(repository: Repository) -> dict[int, Verdict]:
    each = {int(where.name.partition("@")[2]): verdict for where, verdict in verify_each(repository.path)}
    for number, verdict in each.items():
        assert verify(path(repository, number)) == verdict
    return each


def test_it_looks_as_its_export_does(repository: Repository, tmp_path: Path) -> None:
    one, other = path(repository, 2), tmp_path / "exported"
    convert_file(one, other, Report(), verb="export")
    assert diff(one, other).is_same
    seen, streamed = inspect(one, contents=True), inspect(other, contents=True)
    assert seen.errors == streamed.errors == []
    assert seen.records[:-1] == streamed.records[:-1] and seen.config == streamed.config and seen.saved == streamed.saved
    assert vcpus(one, seen) == vcpus(other, streamed) != []
    assert zero_pages(one) == zero_pages(other) == 159
    assert guest_map(one, seen.config) == guest_map(other, streamed.config)
    for elf in (False, True):
        extract.memory(one, tmp_path / "a", elf)
        extract.memory(other, tmp_path / "b", elf)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_it_takes_is_its_manifest_and_its_packs(repository: Repository) -> None:
    listed = repository.listed(2)
    stored = listed.size + sum(pack.size for pack in listed.packs)
    assert len(listed.packs) == 2
    assert (inspect(path(repository, 2)).stored, inspect(path(repository, 2)).checksums) == (stored, True)
    assert (verify(path(repository, 2)).stored, verify(path(repository, 2)).size) == (stored, listed.facts.size)


def test_what_has_changed_between_two(repository: Repository) -> None:
    both = diff(path(repository, 1), path(repository, 2))
    assert both.ranges == [Range(CHANGED, gfn, pages) for gfn, pages in ((1, 3), (700, 1), (1599, 1))]
    assert both.pages[CHANGED] == 5 and not both.records and not both.config


def test_names_settle_on_a_number(repository: Repository, tmp_path: Path) -> None:
    assert settled(path(repository, "web1")) == settled(path(repository, "web1@latest")) == path(repository, 2)
    assert settled(tmp_path / "file") == tmp_path / "file"


@pytest.mark.parametrize(
    ("which", "said"),
    [("9", "has no checkpoint 9"), ("web3", "has no whole checkpoint for web3"), ("latest", "has checkpoints of web1, web2"),
     ("", "has checkpoints of web1, web2: which is meant?"), ("1999-01-01", "has no whole checkpoint for 1999-01-01")],
)  # fmt: skip
def test_what_is_not_there_is_said(repository: Repository, which: str, said: str) -> None:
    with pytest.raises(PyxlError, match=said), opened(path(repository, which)):
        pass


def test_whole_ones_are_clean(repository: Repository) -> None:
    assert [(number, verdict.worst, verdict.trailer and verdict.trailer.identity.name) for number, verdict in found(repository).items()] == [
        (1, None, "web1"), (2, None, "web1"), (3, None, "web2"),
    ]  # fmt: skip


def test_a_damaged_frame_is_named_with_the_pages_in_it(repository: Repository) -> None:
    flip(repository.packs / "00000001.pack", 30)
    flip(repository.packs / "00000002.pack", 12)
    each = found(repository)
    assert [(number, verdict.worst) for number, verdict in each.items()] == [(1, BROKEN), (2, BROKEN), (3, None)]
    (first,), second = each[1].findings, each[2].findings
    assert first.text.startswith("frame 1 of pack 00000001.pack is not what was saved: ")
    assert first.text.endswith(
        "; 256 pages of this checkpoint lie in it: 0x1 to 0x9, 0xb to 0x13, 0x15 to 0x1d, 0x1f to 0x27, 0x29 to 0x31, "
        "0x33 to 0x3b, 0x3d to 0x45, 0x47 to 0x4f and 21 stretches more"
    )
    assert any(each.text.endswith("; 5 pages of this checkpoint lie in it: 0x1 to 0x3, 0x2bc, 0x63f") for each in second)
    assert any("253 pages of this checkpoint lie in it: 0x4 to 0x9, " in each.text for each in second)
    with opened(path(repository, 1)) as view, pytest.raises(StreamError, match=r"frame 1 of pack 00000001\.pack"):
        view.read(first.offset, 1)


def test_a_frame_that_no_page_of_it_lies_in_says_nothing(repository: Repository) -> None:
    source = Guest()
    for gfn in range(300):
        source.pages[gfn][:] = b"all new\n" * 512
    number = checkpoint(repository, source)
    flip(repository.packs / "00000001.pack", 30)
    assert [each for each, verdict in found(repository).items() if verdict.worst] == [1, 2]
    assert len(repository.listed(number).packs) == 2


def test_each_frame_is_opened_once_for_all(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    count: Counter[tuple[str, int]] = Counter()
    really = FrameCache.open

    def counted(self: Any, pack: int, number: int, into: Any) -> None:
        count[self._packs[pack].name, number] += 1
        really(self, pack, number, into)

    monkeypatch.setattr(FrameCache, "open", counted)
    assert len(list(verify_each(repository.path))) == 3
    assert len(count) == 9 and set(count.values()) == {1}


def test_a_pack_that_is_missing_cut_or_of_another_size(repository: Repository) -> None:
    pack = repository.packs / "00000001.pack"
    whole = pack.read_bytes()
    for data, said in [(whole[:-1], f"has {len(whole) - 1} bytes, not"), (whole[:100], "has 100 bytes, not"), (b"", "has 0 bytes, not"),
                       (None, "is missing"), (whole + b"x", f"has {len(whole) + 1} bytes, not")]:  # fmt: skip
        pack.unlink() if data is None else pack.write_bytes(data)
        each = found(repository)
        assert [verdict.worst for verdict in each.values()] == [BROKEN, BROKEN, None]
        assert f"pack 00000001.pack {said}" in each[2].findings[0].text
        assert "pack 00000001.pack" in repository.listed(1).problem
        with pytest.raises(PyxlError, match=r"pack 00000001\.pack"):
            inspect(path(repository, 1))


def test_no_flipped_bit_of_a_manifest_goes_unseen(repository: Repository) -> None:
    manifest = repository.manifest_path(2)
    whole, chance = manifest.read_bytes(), random.Random(1)
    for at in range(len(whole)):
        manifest.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        assert verify(path(repository, 2)).worst is BROKEN
        assert repository.listed(2).problem and repository.listed(2).facts.number == 2
        with pytest.raises(StreamError), opened(path(repository, 2)):
            pass
    for size in range(len(whole)):
        manifest.write_bytes(whole[:size])
        assert verify(path(repository, 2)).worst is BROKEN


def test_no_flipped_bit_of_a_pack_makes_a_wrong_page(repository: Repository) -> None:
    pack = repository.packs / "00000002.pack"
    whole, chance = pack.read_bytes(), random.Random(2)
    quiet: list[int] = []
    content = all_of(path(repository, 2))
    for at in range(len(whole)):
        pack.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        if verify(path(repository, 2)).worst is not BROKEN:
            assert all_of(path(repository, 2)) == content
            quiet += [at] if verify(path(repository, 2)).worst is None else []
        else:
            with pytest.raises(StreamError):
                all_of(path(repository, 2))
    assert max(quiet, default=0) < 30  # some bits of a frame say nothing


def test_damaged_hashes_are_suspicious_and_the_next_checkpoint_goes_without(repository: Repository) -> None:
    pack = repository.packs / "00000001.pack"
    flip(pack, pack.read_bytes().index(b"pyxlhash") + 20)
    each = found(repository)
    assert [verdict.worst for verdict in each.values()] == [SUSPICIOUS, SUSPICIOUS, None]
    assert each[1].findings[0].text == "the hashes of 00000001.pack are damaged: the next checkpoint writes its pages again"
    number = checkpoint(repository, Guest())
    assert repository.listed(number).facts.new == 1440
    assert all_of(path(repository, number))[:-500] == all_of(path(repository, 1))[:-500]


def test_an_empty_repository_has_nothing_to_verify(tmp_path: Path) -> None:
    Repository.made(tmp_path / "empty")
    with pytest.raises(PyxlError, match="has no checkpoints"):
        list(verify_each(tmp_path / "empty"))


def all_of(where: Path) -> bytes:
    with opened(where) as view:
        return view.read(0, view.size)


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)


def test_one_that_is_removed_meanwhile_is_passed_over(repository: Repository) -> None:
    each = verify_each(repository.path)
    next(each)
    repository.manifest_path(2).unlink()
    assert [where.name for where, _ in each] == ["repository@3"]


def test_files_are_looked_at_without_the_room_of_repositories() -> None:
    code = "import sys; from pyxl.cli import app, verify, inspect, diff, extract, convert; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("pyxl.repository.")] == ["pyxl.repository.reference"]
