"""Which symbolic links in the path of a checkpoint are followed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.checkpoint.real_path import open_directory
from pyxl.errors import PyxlError

STRANGER = 4711
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "there"
    directory.mkdir()
    yield directory


def walk(path: Path) -> Path:
    """Return the real path; check that the descriptor is of its directory."""
    fd, real = open_directory(path)
    assert os.path.samestat(os.fstat(fd), real.parent.stat())
    os.close(fd)
    return real


def refused(path: Path) -> str:
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(PyxlError) as caught:
        open_directory(path)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    return str(caught.value)


def test_links_and_dots_are_followed_as_the_kernel_does(there: Path) -> None:
    link = there.parent / "link"
    link.symlink_to("there")
    (there / "again").symlink_to(link / ".." / "there" / "web1")
    assert walk(link / "web1") == there / "web1"
    assert walk(link / ".." / "web1") == there.parent / "web1"
    assert walk(link / "again") == there / "web1"


def test_a_relative_path_starts_here(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(there)
    assert walk(Path("web1")) == there / "web1"
    assert walk(Path("../web1")) == there.parent / "web1"


def test_a_circle_ends(there: Path) -> None:
    (there / "a").symlink_to("b")
    (there / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        open_directory(there / "a" / "web1")


@pytest.mark.parametrize("path", ["/", "/usr/..", "."])
def test_a_path_that_names_no_file_is_a_directory(path: str) -> None:
    assert refused(Path(path)).endswith("is a directory")


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mode", [0o700, 0o1777])
@needs_root
def test_a_link_of_somebody_else_is_not_followed(there: Path, mode: int, last: bool) -> None:
    there.chmod(mode)
    link = there / "link"
    link.symlink_to(there.parent)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert f"{link} is a symbolic link that others made" in refused(link if last else link / "web1")


def test_a_link_that_others_can_replace_is_not_followed(there: Path) -> None:
    (there / "link").symlink_to(there.parent)
    there.chmod(0o777)
    assert "can replace" in refused(there / "link" / "web1")
    there.chmod(0o1777)
    assert walk(there / "link" / "web1") == there.parent / "web1"


@needs_root
def test_a_link_in_somebody_else_s_directory_is_not_followed(there: Path) -> None:
    (there / "link").symlink_to(there.parent)
    os.chown(there, STRANGER, STRANGER)
    assert "can replace" in refused(there / "link" / "web1")
    assert walk(there / "web1") == there / "web1"
