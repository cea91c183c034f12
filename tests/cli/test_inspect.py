"""`pyxl inspect`: shows which guest a file is a save of and what is in it, however broken it is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxl.cli.inspect import document
from pyxl.cli.inspect_text import lines
from pyxl.files.inspect import MAX_RECORDS, inspect
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2, record, trailer, xl_header
from pyxl.formats.xlcfg.parse import parse
from tests.cli.test_cli import pyxl
from tests.formats.stream import streams

PAGE, ZERO = b"\1" * 4096, bytes(4096)
IDENTITY = trailer.identity("6b1d9b2e-0000-4000-8000-000000000001", "web1", 1795533611, "host", "4.17.7", "7.2.22")
GUEST = streams.guest(streams.memory({0: PAGE, 1: ZERO, 2: None}), streams.memory({0: ZERO, 3: PAGE}), vcpus=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def said(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pyxl("inspect", "--json", "--zero", str(path)).stdout)
    return found


def test_a_person_is_told_what_it_is_and_then_every_record(file: Path) -> None:
    file.write_bytes(streams.summed(streams.checkpoint(marked=True), IDENTITY))
    done = pyxl("inspect", str(file))
    head, tree = done.stdout.split("\n\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert head.splitlines()[0] == 'name      "web1"'
    assert "saved     2026-11-24 15:20:11 UTC on host by pyxl" in head
    assert "whole     its framing is; it has checksums, which `pyxl verify` compares" in head
    assert [line.split()[2:4] for line in tree.splitlines()[1:]] == [
        ["xl", "HEADER"], ["xl", "CONFIG"], ["pyxl", "MARKER"], ["libxl", "HEADER"], ["libxl", "LIBXC_CONTEXT"],
        ["libxc", "IMAGE_HEADER"], ["libxc", "DOMAIN_HEADER"], ["libxc", "STATIC_DATA_END"], ["libxc", "PAGE_DATA"],
        ["libxc", "HVM_CONTEXT"], ["libxc", "END"], ["libxl", "EMULATOR_CONTEXT"], ["libxl", "END"], ["pyxl", "TRAILER"],
    ]  # fmt: skip


def test_json_has_all_of_it(file: Path) -> None:
    file.write_bytes(GUEST)
    found = said(file)
    by_name = {each["name"]: each for each in found["records"]}
    assert (found["size"], found["end"], found["errors"], found["checksums"]) == (len(GUEST), len(GUEST), [], False)
    assert (found["guest"]["name"], found["guest"]["type"], found["saved"]["xen"]) == ("web1", "hvm", "4.17")
    assert found["config"] == json.loads(streams.CONFIG)
    assert (found["pages"], found["pages_without_data"], found["zero_pages"]) == (4, 1, 2)
    assert by_name["PAGE_DATA"]["records"] == 2
    assert by_name["PAGE_DATA"]["content"] == {"pages": 4, "without_data": 1}
    assert by_name["HVM_PARAMS"]["content"] == {"STORE_PFN": "0xfeffc", "CONSOLE_PFN": "0xfefff"}
    cpus = [entry for entry in by_name["HVM_CONTEXT"]["content"] if entry["name"] == "CPU"]
    assert [(cpu["instance"], cpu["fields"]["rip"]) for cpu in cpus] == [(0, "0x1000"), (1, "0x1001")]
    assert by_name["EMULATOR_CONTEXT"]["content"] == {"emulator": "qemu-upstream", "index": 0}
    assert sum(each["size"] for each in found["records"]) == len(GUEST)


def test_a_pv_guest_s_records_are_told_too(file: Path) -> None:
    bodies: dict[int, libxc_records.Body] = {
        libxc_v2.X86_PV_INFO: libxc_records.PvInfo(8, 4), libxc_v2.X86_PV_P2M_FRAMES: libxc_records.P2mFrames(0, 511, (7,)),
        libxc_v2.X86_PV_VCPU_BASIC: libxc_records.VcpuBlob(1, b"\xab\xcd"),
    }  # fmt: skip
    records = b"".join(libxc_records.encode(kind, body) for kind, body in bodies.items())
    stream = streams.libxc_stream(records=record.encode(0x10) + records)
    hvm, pv = (libxc_v2.DOMAIN.pack(kind, 12, 0, 4, 17) for kind in (libxc_v2.TYPE_HVM, libxc_v2.TYPE_PV))
    file.write_bytes(streams.checkpoint(stream.replace(hvm, pv)))
    contents = {each["name"]: each["content"] for each in said(file)["records"]}
    assert contents["DOMAIN_HEADER"]["type"] == "pv"
    assert (contents["X86_PV_INFO"]["width"], contents["X86_PV_INFO"]["levels"]) == (8, 4)
    assert contents["X86_PV_P2M_FRAMES"] == {"start": 0, "end": 511, "frames": 1}
    assert contents["X86_PV_VCPU_BASIC"] == {"vcpu": 1, "blob": "abcd"}


def test_a_cut_file_is_shown_as_far_as_it_goes(file: Path) -> None:
    for cut in (*range(0, 1000, 3), *range(1000, len(GUEST), 61)):
        file.write_bytes(GUEST[:cut])
        found = inspect(file, contents=True)
        assert len(found.errors) == 1
        assert found.end == sum(each.size for each in found.records) <= cut


def test_a_broken_file_is_no_success_and_says_where_it_ends(file: Path) -> None:
    file.write_bytes(GUEST[:-10])
    done = pyxl("inspect", str(file))
    at = len(GUEST) - 8 - 40
    assert done.returncode == 1
    assert f"whole     no: right up to byte {at}\n          file ends 2 bytes too early, within EMULATOR_CONTEXT" in done.stdout


@pytest.mark.parametrize(
    ("libxc", "error"),
    [
        (record.encode(0x10) + record.encode(0x0A, b"\xff" * 8), "HVM params"),
        (record.encode(0x10) + record.encode(0x09, b"\2\0\0\0\xff\xff\xff\xff"), "HVM context"),
        (record.encode(0x10) + record.encode(0x01, b"\xff" * 16), "pages"),
    ],
)  # fmt: skip
def test_what_a_body_says_wrong_is_told(file: Path, libxc: bytes, error: str) -> None:
    file.write_bytes(streams.checkpoint(streams.libxc_stream(records=libxc)))
    assert error in inspect(file, contents=True).errors[0]


def test_bytes_behind_the_end_are_told(file: Path) -> None:
    file.write_bytes(GUEST + b"x")
    assert inspect(file).errors == [f"bytes behind END without a marker (at byte {len(GUEST)})"]


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is no file\n" in pyxl("inspect", str(tmp_path / "pipe")).stderr
    assert "is no file\n" in pyxl("inspect", str(tmp_path)).stderr
    assert "No such file" in pyxl("inspect", str(tmp_path / "gone")).stderr


def test_the_config_comes_as_json_and_as_xl_cfg(file: Path) -> None:
    example = Path(__file__).parents[2] / "conf-examples" / "vnc.cfg"
    config = parse([("example", example.read_text())])
    file.write_bytes(xl_header.encode(json.dumps(config).encode()))  # the config can be read, whatever follows
    assert json.loads(pyxl("inspect", "--config", str(file)).stdout) == config
    assert parse([("again", pyxl("inspect", "--config", "--format", "cfg", str(file)).stdout)]) == config


def test_what_is_quoted_of_a_config_cannot_command_the_terminal(file: Path) -> None:
    text = b"name = 'x'; type = 'hvm'; disk = ['\x1b[2J']"
    block = xl_header.LENGTH.pack(len(text)) + text
    file.write_bytes(xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 2, 0, len(block)) + block)
    said = pyxl("inspect", "--config", str(file)).stderr
    assert 'disk "?[2J": it names no vdev' in said and said.replace("\n", "").isprintable()


def test_a_config_that_is_nested_without_end_is_refused(file: Path) -> None:
    for depth in (40, 900, 100_000):
        config = b'{"c_info": {"name": "x"}, "b_info": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        file.write_bytes(xl_header.encode(config) + GUEST[GUEST.index(libxl_v2.start()) :])
        assert "is not one that libxl writes" in inspect(file).errors[0]


def test_a_text_config_is_understood(file: Path) -> None:
    text = b'name = "old"; type = "hvm"; memory = 64; vcpus = 3'
    block = xl_header.LENGTH.pack(len(text)) + text
    file.write_bytes(xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 0, 0, len(block)) + block)
    found = inspect(file)
    assert found.guest[:4] == ("old", None, "hvm", 65536)
    assert found.errors == ["the head: the file ends within it (at byte 102)"]


def test_a_name_cannot_command_the_terminal(file: Path) -> None:
    named = trailer.Identity(name="\x1b[2J", host="\x1b[2J", saved="\x9b", xen="\x1b")
    config = json.dumps({"c_info": {"name": "\x1b\u202e", "type": "\x9b"}, "b_info": {}}).encode()
    header = xl_header.encode(config)
    data = header + streams.checkpoint(marked=True)[len(xl_header.encode(streams.CONFIG)) :]
    file.write_bytes(streams.summed(data, named))
    for arguments in ((), ("--json",), ("--config",), ("--config", "--format", "cfg")):
        assert pyxl("inspect", *arguments, str(file)).stdout.replace("\n", "").isprintable()


def test_the_page_stands_alone_and_takes_every_text_as_text(file: Path, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!--\u202e"
    config = json.dumps({"c_info": {"name": evil, "type": evil}, "b_info": {evil: evil}}).encode()
    data = xl_header.encode(config) + GUEST[GUEST.index(libxl_v2.start()) :]
    file.write_bytes(streams.summed(data, trailer.Identity(host=evil, saved="x")))
    assert pyxl("inspect", "--html", str(tmp_path / "page"), str(file)).returncode == 0
    page = (tmp_path / "page").read_text()
    assert page.count("<script") == page.count("</script") == 2
    assert "<!--" not in page and "\u202e" not in page
    assert "//" not in re.sub("// |sha256-[^']+", "", page) and "default-src 'none'" in page
    document = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert document["title"] == evil.replace("\u202e", "?")
    assert document["map"]["kinds"] == [["data", 1], ["zero", 2], ["ballooned", 0]]
    assert [part["note"] for part in document["sections"][1]["parts"]] == ["16-bit, rip 0x1000", "16-bit, rip 0x1001"]


def test_the_page_does_not_replace_the_checkpoint(file: Path) -> None:
    file.write_bytes(GUEST)
    assert "is the checkpoint itself" in pyxl("inspect", "--html", str(file), str(file)).stderr
    assert file.read_bytes() == GUEST


def peak_mib(*arguments: str) -> int:
    """Run pyxl, which must not fail, and return its peak memory."""
    code = f"from pyxl.cli.app import run; run({list(arguments)!r}); print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stderr == ""
    return int(done.stdout.split("VmHWM:")[1].split()[0]) >> 10


def test_a_claim_costs_no_memory(file: Path) -> None:
    image = streams.libxc_stream(records=record.encode(0x10))[:-8]
    with file.open("wb") as out:
        out.write(streams.xl_s_header() + libxl_v2.start() + image)
        for kind in (0x0A, 0x11, 0x12, 0x09, 0x04, 0x03):  # a sparse file makes each claimed length true
            out.write(record.HEADER.pack(kind, 120 << 20))
            out.seek(120 << 20, 1)
        for kind in (0x11, 0x12) * MAX_RECORDS:
            out.write(record.encode(kind))
        out.write(record.encode(0x08, b"?") * 100_000)  # impossible bodies
    found = inspect(file, contents=True)
    assert found.left_out > MAX_RECORDS and len(found.errors) <= 102
    assert peak_mib("inspect", "--json", str(file)) < 64
    assert peak_mib("inspect", "--html", f"{file}.html", str(file)) < 64


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (0x09, b"\x63\0\0\0\0\0\0\0"), (0x09, hvm_context.encode([streams.context_entry(hvm_context.CPU, 1)])),
        (0x09, b"\2\0\1\0\0\0\0\0"), (0x11, b"leaf" * 6), (0x12, b"msr?" * 4),
        (0x0A, b"\0\xff\1\0\0\0\0\0" + b"sixteen letters." * 0x1FF00),
    ],
)  # fmt: skip
def test_no_body_takes_much_memory(file: Path, kind: int, body: bytes) -> None:
    most = body * (((2 << 20) - 500) // len(body) or 1)
    file.write_bytes(streams.checkpoint(streams.libxc_stream(records=record.encode(0x10) + record.encode(kind, most))))
    assert peak_mib("inspect", "--json", str(file)) < 64
    assert peak_mib("inspect", "--html", f"{file}.html", str(file)) < 64


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_mutated_files_are_answered(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = bytearray(streams.summed(GUEST))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 8))
        # Not in the pages: they are most of the file, and of no interest.
        at = at if at < 2000 else len(changed) - at % 6000 - 8 if len(changed) > 8000 else at
        value = data.draw(st.sampled_from([0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1]) | st.integers(0, 255))
        width = 1 if value < 256 else 4
        changed[at : at + width] = value.to_bytes(width, "little")
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(changed)
    found = inspect(path, contents=True)
    json.dumps(document(found))
    assert all(line.isprintable() for line in lines(found, None))
