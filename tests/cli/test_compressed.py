"""Every command takes a compressed checkpoint as the plain one that it holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pyxl.cli.words import size
from pyxl.formats.stream import trailer, xl_header
from tests.cli.test_convert import OLD
from tests.formats.stream import streams

ROOT = Path(__file__).parents[2]
IDENTITY = trailer.identity("6b1d9b2e-0000-4000-8000-000000000001", "web1", 1795533611, "host", "4.17.7", "7.2.22")
PAGES = {0: bytes(4096), 1: b"one." * 1024, 2: b"two." * 1024, 7: None}


def pyxl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "pyxl", *arguments], cwd=ROOT, capture_output=True)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    guest = streams.guest(streams.memory(PAGES))
    body = guest[len(streams.xl_s_header()) :]
    data = streams.summed(xl_header.encode(streams.CONFIG) + body, IDENTITY, trailer.NONE)
    plain, compressed = tmp_path / "plain", tmp_path / "compressed"
    plain.write_bytes(data)
    compressed.write_bytes(streams.compressed(data, 5000))
    return plain, compressed


@pytest.mark.parametrize(
    "command",
    [["inspect", "--config", "--format=cfg"], ["extract", "--memory", "raw"], ["extract", "--memory", "elf"],
     ["extract", "--page", "1"], ["extract", "--device-state"], ["extract", "--hvm-context"], ["config", "show"]],
    ids=" ".join,
)  # fmt: skip
def test_what_comes_out_is_the_same(files: tuple[Path, Path], command: list[str]) -> None:
    plain, compressed = (pyxl(*command, file) for file in files)
    assert (compressed.returncode, compressed.stderr) == (0, b"")
    assert compressed.stdout == plain.stdout
    assert plain.stdout


def test_nothing_differs(files: tuple[Path, Path]) -> None:
    assert pyxl("diff", *files).returncode == 0


def test_inspect_says_what_it_holds_and_what_it_takes(files: tuple[Path, Path]) -> None:
    plain, compressed = files
    said = pyxl("inspect", compressed).stdout.decode()
    assert f"({plain.stat().st_size} bytes) compressed to {size(compressed.stat().st_size)} (" in said
    assert "it has checksums, which `pyxl verify` compares" in said
    found = [json.loads(pyxl("inspect", "--json", "--zero", file).stdout) for file in files]
    assert (found[0]["stored"], found[1]["stored"], found[1]["checksums"]) == (0, compressed.stat().st_size, True)
    assert found[1]["size"] == plain.stat().st_size
    assert found[0]["records"] == found[1]["records"]
    assert found[1]["zero_pages"] == 1


def test_verify_says_what_it_holds_and_what_it_takes(files: tuple[Path, Path]) -> None:
    plain, compressed = (pyxl("verify", file) for file in files)
    assert (plain.returncode, compressed.returncode) == (3, 0)
    assert b": framing is whole, no checksums (decompressed: its checksums are in the compressed file): \"web1\", " in plain.stdout
    assert compressed.stdout.decode().startswith(f'{files[1]}: whole: "web1", ')
    assert b"; compressed to " in compressed.stdout
    assert b" : 1)" in compressed.stdout


def test_a_cut_one_is_refused_in_one_line(files: tuple[Path, Path]) -> None:
    compressed = files[1]
    compressed.write_bytes(compressed.read_bytes()[:-1])
    for command in (["inspect"], ["extract", "--memory", "raw"], ["config", "show"], ["diff", str(files[0])]):
        done = pyxl(*command, compressed)
        assert done.returncode
        assert b"is compressed and its seek table is missing: the file was cut" in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_a_legacy_one_is_seen_as_what_it_holds_and_converted_from_a_pipe(tmp_path: Path) -> None:
    old, compressed, new = (tmp_path / name for name in ("old", "compressed", "new"))
    old.write_bytes(OLD)
    compressed.write_bytes(streams.compressed(OLD, 5000))
    plain, found = (pyxl("extract", "--memory", "raw", file) for file in (old, compressed))
    assert (found.returncode, found.stdout) == (0, plain.stdout)
    done = pyxl("convert", compressed, new)
    assert done.returncode == 1
    assert b"a legacy checkpoint that is compressed cannot be read as it is\n" in done.stderr
    assert b"`zstd -dc FILE | pyxl restore -` or `\xe2\x80\xa6 | pyxl convert - NEW` takes it." in done.stderr
    with subprocess.Popen(["cat", compressed], stdout=subprocess.PIPE) as sender:
        command = [sys.executable, "-m", "pyxl", "convert", "-", str(new)]
        assert subprocess.run(command, stdin=sender.stdout, cwd=ROOT, capture_output=True).returncode == 0
    assert pyxl("verify", new).returncode == 0
