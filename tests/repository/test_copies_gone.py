"""Copies of disks go with the checkpoints of a repository that they belong to, whoever dies when."""

import json
from pathlib import Path

import pytest

from pyxl.disks import copies
from pyxl.files.verify import verify
from pyxl.model.copied import Copied
from pyxl.repository import copies_gone
from pyxl.repository.prune import prune
from pyxl.repository.repository import Repository
from tests.repository.guests import checkpoint, guest


def copied(path: Path) -> Copied:
    """Return a copy of a disk, which is made."""
    path.write_bytes(b"of web1")
    base = str(path.with_suffix(""))
    return Copied("hda", "copy", base, "raw", str(path), "raw", 7, copies.mark_of(str(path)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.made(tmp_path / "repository")


@pytest.fixture
def files(repository: Repository, tmp_path: Path) -> list[Path]:
    """Copies that belong to checkpoints 1, 2 and 3."""
    found = [tmp_path / f"web1.raw.{number}" for number in (1, 2, 3)]
    for file in found:
        checkpoint(repository, guest(), disks=[copied(file)])
    return found


def there(files: list[Path]) -> list[bool]:
    return [file.exists() for file in files]


def test_they_go_with_their_checkpoint(repository: Repository, files: list[Path]) -> None:
    assert prune(repository, remove=[2]).problems == []
    assert there(files) == [True, False, True]
    assert not (repository.path / "copies-gone").exists()


def test_what_cannot_be_removed_is_said_and_goes_next_time(
    repository: Repository, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_busy(path: Path) -> None:
        raise OSError(16, "busy")

    with monkeypatch.context() as patch:
        patch.setattr("pyxl.disks.whole.remove_file", is_busy)
        assert prune(repository, remove=[1, 2]).problems[0].startswith(f"{files[0]} is left: ")
    assert repository.numbers() == [3] and there(files) == [True, True, True]
    assert prune(repository).problems == []
    assert there(files) == [False, False, True]


def test_one_that_died_before_its_checkpoint_was_gone_removes_nothing(repository: Repository, files: list[Path]) -> None:
    copies_gone.note(repository, [2])
    assert prune(repository, remove=[1]).problems == []
    assert there(files) == [False, True, True]


def test_verify_says_what_is_not_what_was_saved(repository: Repository, files: list[Path]) -> None:
    def found() -> list[tuple[str, str, str]]:
        findings = [verify(Path(f"{repository.path}@{number}")).findings for number in (1, 2)]
        return [(one.record, one.rule, one.text) for each in findings for one in each if one.rule == "copy"]

    assert found() == []
    files[0].write_bytes(b"another")
    files[1].unlink()
    (one, rule, changed), (_, _, missing) = found()
    assert (one, rule) == ("disk hda", "copy")
    assert "was written to" in changed and "is missing" in missing


def test_a_repository_that_others_may_write_to_removes_nothing_else(repository: Repository, files: list[Path]) -> None:
    theirs = repository.path / "copies-gone"
    theirs.write_text(json.dumps({"9": [copied(files[2])]}))
    theirs.chmod(0o666)
    repository.manifest_path(2).chmod(0o666)
    assert prune(repository, remove=[2]).problems == []
    assert there(files) == [True, True, True]
