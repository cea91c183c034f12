"""Programs and directories: a missing program is named, a failed one is logged."""

import io
import sys
from pathlib import Path

import pytest

from pyxl.errors import LabError
from pyxl.lab import recipe
from pyxl.lab.steps import Quiet, Steps, tail
from pyxl.lab.tools import cache_directory, ensure_packages, missing_packages, run


def test_missing_packages_are_named_once_and_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "FIRMWARE", {"/nonexistent/bios": "seabios"})
    present = {"qemu-system-x86_64", "qemu-img", "cpio", "syslinux", "mcopy", "mkfs.fat", "mkfs.ext4"}
    found = missing_packages(lambda program: program if program in present else None)
    assert found == ["mmdebstrap", "openssh-client", "seabios"]


def test_without_root_the_error_is_the_one_line_to_type(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="not installed: cpio mtools") as caught:
        ensure_packages(Quiet(), tmp_path / "log", missing=["cpio", "mtools"], root=False)
    assert caught.value.hint == "as root: apt-get install -y --no-install-recommends cpio mtools"


def test_nothing_missing_is_nothing_done(tmp_path: Path) -> None:
    out = io.StringIO()
    ensure_packages(Steps(out), tmp_path / "log", missing=[], root=True)
    assert out.getvalue() == ""
    assert not (tmp_path / "log").exists()


def test_cache_directory_is_the_users() -> None:
    assert cache_directory({"XDG_CACHE_HOME": "/var/cache/me", "HOME": "/home/me"}) == Path("/var/cache/me/pyxl/lab")
    assert cache_directory({"HOME": "/home/me"}) == Path("/home/me/.cache/pyxl/lab")
    # The XDG specification: ignore a relative path.
    assert cache_directory({"XDG_CACHE_HOME": "cache", "HOME": "/home/me"}) == Path("/home/me/.cache/pyxl/lab")


def test_a_failed_program_leaves_its_command_and_words_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    with pytest.raises(LabError, match="failed with status 3"):
        run([sys.executable, "-c", script], log)
    text = log.read_text()
    assert text.startswith(f"$ {sys.executable} -c ")
    assert "out\n" in text and "err\n" in text


def test_a_program_reads_what_it_is_given(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run([sys.executable, "-c", "print(input()[::-1])"], log, stdin=b"abc\n")
    assert log.read_text().splitlines()[-1] == "cba"


def test_tail_keeps_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d\r\n\n" % number for number in range(100)))
    assert tail(log, 2) == "line 98\nline 99"
    assert tail(tmp_path / "none") == ""
