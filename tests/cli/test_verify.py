"""`pyxl verify`: one line for each file, and a status for scripts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyxl import __version__
from pyxl.formats.stream import record, trailer
from tests.cli.test_cli import pyxl
from tests.formats.stream import streams

IDENTITY = trailer.identity("6b1d9b2e-0000-4000-8000-000000000001", "web1", 1795533611, "host", "4.17.7", "7.2.22")
WHOLE = streams.summed(streams.checkpoint(marked=True), IDENTITY)
VERIFY = streams.encoded("VERIFY", bytes(8))
SUSPICIOUS = streams.checkpoint(streams.libxc_stream(records=streams.SMALLEST + VERIFY), marked=True)
AT = SUSPICIOUS.index(VERIFY)


def verify(*paths: Path) -> tuple[int, list[str]]:
    done = pyxl("verify", *map(str, paths))
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    (tmp_path / "whole").write_bytes(WHOLE)
    return tmp_path / "whole"


def test_a_whole_file_says_of_what_it_is_a_save(whole: Path) -> None:
    said = f'{whole}: whole: "web1", 12 KiB, saved 2026-11-24 15:20:11 UTC on host by pyxl {__version__} (Xen 4.17.7, qemu 7.2.22)'
    assert verify(whole) == (0, [said])


def test_what_is_broken_is_told_with_its_offset_for_every_file(whole: Path, tmp_path: Path) -> None:
    cut, gone, xl_s, config = (tmp_path / name for name in ("cut", "gone", "xl's", "config"))
    cut.write_bytes(WHOLE[:-1])
    xl_s.write_bytes(streams.checkpoint())
    config.write_text("name = 'web1'\n" * 10)
    status, lines = verify(whole, cut, gone, xl_s, config)
    assert status == 1
    assert lines[1:] == [
        f"{cut}: broken: pyxl TRAILER: file ends 1 bytes too early (at byte {len(WHOLE) - 1}, cut)",
        f"{gone}: broken: file: No such file or directory (at byte 0, unreadable)",
        f"{xl_s}: framing is whole, no checksums (written by xl)",
        f"{config}: broken: xl HEADER: not a checkpoint: xl's magic is missing (at byte 0, header)",
    ]


def test_a_file_of_xl_s_is_neither_success_nor_failure(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "xl's").write_bytes(streams.checkpoint())
    assert verify(whole, tmp_path / "xl's")[0] == 3


def test_what_is_suspicious_is_told_before_what_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(streams.summed(SUSPICIOUS, IDENTITY))
    status, lines = verify(tmp_path / "file")
    assert status == 3
    assert lines[0] == f"{tmp_path}/file: suspicious: libxc VERIFY: 8 bytes where there should be none (at byte {AT}, empty)"
    assert lines[1].startswith(f'{tmp_path}/file: whole: "web1"')


def test_json_is_an_object_a_line(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "suspicious").write_bytes(SUSPICIOUS)
    status, lines = verify(Path("--json"), whole, tmp_path / "suspicious", tmp_path / "gone")
    clean, suspicious, gone = (json.loads(line) for line in lines)
    assert status == 1
    assert clean == {"file": str(whole), "verdict": "clean", "findings": [], "unlisted": 0, "legacy": False, "size": whole.stat().st_size, "stored": 0, "identity": IDENTITY.members()}
    assert (suspicious["verdict"], suspicious["identity"]) == ("broken", None)
    assert suspicious["findings"][0] == {
        "offset": AT, "record": "libxc VERIFY", "rule": "empty", "severity": "suspicious", "text": "8 bytes where there should be none",
    }  # fmt: skip
    assert (gone["verdict"], gone["findings"][0]["rule"]) == ("broken", "unreadable")


def test_of_many_findings_the_first_are_listed_and_all_counted(tmp_path: Path) -> None:
    records = streams.SMALLEST + record.encode(0x8000_0001) * 1200
    (tmp_path / "file").write_bytes(streams.checkpoint(streams.libxc_stream(records=records)))
    status, lines = verify(tmp_path / "file")
    assert (status, len(lines)) == (3, 1002)
    assert lines[1000] == f"{tmp_path}/file: 201 more"


def test_a_name_cannot_command_the_terminal(tmp_path: Path) -> None:
    named = trailer.Identity(name="\x1b[2J", host="\x1b[2J")
    (tmp_path / "file").write_bytes(streams.summed(streams.checkpoint(marked=True), named))
    assert "\x1b" not in verify(tmp_path / "file")[1][0]


def test_a_pipe_is_verified_in_passing() -> None:
    reader, writer = os.pipe()
    os.write(writer, WHOLE)
    os.close(writer)
    done = subprocess.run(
        [sys.executable, "-m", "pyxl", "verify", "/dev/stdin"], stdin=reader, capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    os.close(reader)
    assert done.stdout.startswith('/dev/stdin: whole: "web1"')
