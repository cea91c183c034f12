"""`pyxl extract`: unchanged parts of a checkpoint, and a core for debuggers."""

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxl.errors import PyxlError
from pyxl.files import extract
from pyxl.formats import elf_core
from pyxl.lab import tools
from pyxl.lab.steps import Steps
from tests.cli.test_cli import pyxl
from tests.formats.stream import streams

ZERO = bytes(4096)


def page(letter: str) -> bytes:
    return letter.encode() * 4096


#: Page 1 comes twice, 2 is zero, 3 never comes; gfn 0x10000 is far away.
GUEST = streams.guest(
    streams.memory({0: page("a"), 1: page("b"), 2: ZERO, 3: None, 4: page("e")}),
    streams.memory({0x10000: page("f"), 0x10001: ZERO, 1: page("B")}),
    vcpus=2,
)
PAGES = {0: page("a"), 1: page("B"), 2: ZERO, 4: page("e"), 0x10000: page("f"), 0x10001: ZERO}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(GUEST)
    return tmp_path / "file"


def segments(core: bytes) -> list[tuple[int, ...]]:
    """Return the program headers; their number may be in either of its two places."""
    count = struct.unpack_from("<H", core, 56)[0]
    if count == elf_core.PN_XNUM:
        (count,) = struct.unpack_from("<I", core, struct.unpack_from("<Q", core, 40)[0] + 44)
    return list(elf_core.PHDR.iter_unpack(core[64 : 64 + 56 * count]))


def test_raw_memory_lies_where_it_lay_with_the_last_of_each_page(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw"
    assert pyxl("extract", "--memory", "raw", "-o", str(out), str(file)).returncode == 0
    memory = out.read_bytes()
    assert len(memory) == 0x10002 * 4096
    assert {gfn: memory[gfn * 4096 : (gfn + 1) * 4096] for gfn in (*PAGES, 3)} == {**PAGES, 3: ZERO}
    assert out.stat().st_blocks * 512 < 1 << 20  # the rest is holes
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_pipe_gets_the_same_bytes_as_a_file(file: Path, tmp_path: Path) -> None:
    for form in ("raw", "elf"):
        assert pyxl("extract", "--memory", form, "-o", str(tmp_path / form), str(file)).returncode == 0
        done = subprocess.run([sys.executable, "-m", "pyxl", "extract", "--memory", form, str(file)], capture_output=True,
                              cwd=Path(__file__).parents[2])  # fmt: skip
        assert (done.returncode, done.stdout) == (0, (tmp_path / form).read_bytes())


def test_a_core_has_a_segment_for_each_range_and_a_thread_for_each_vcpu(file: Path, tmp_path: Path) -> None:
    extract.memory(file, tmp_path / "core", elf=True)
    core = (tmp_path / "core").read_bytes()
    note, *loads = segments(core)
    assert [(address // 4096, size // 4096) for _, _, _, _, address, size, _, _ in loads] == [(0, 3), (4, 1), (0x10000, 2)]
    for _, _, at, virtual, address, size, _, _ in loads:
        assert at % 4096 == 0 and virtual == address
        assert core[at : at + size] == b"".join(PAGES[gfn] for gfn in range(address // 4096, (address + size) // 4096))
    notes = core[note[2] : note[2] + note[5]]
    threads = [notes[at : at + 356] for at in range(0, len(notes), 356)]
    assert [struct.unpack_from("<I", thread, 20 + 32)[0] for thread in threads] == [1, 2]
    assert [struct.unpack_from("<Q", thread, 20 + 112 + 8 * 16)[0] for thread in threads] == [0x1000, 0x1001]


@pytest.mark.lab  # it needs no lab, but gdb, which only `make test` may install
def test_gdb_shows_the_registers_and_the_memory(file: Path, tmp_path: Path) -> None:
    tools.ensure_packages(Steps(), tmp_path / "log", [] if tools.find("gdb") else ["gdb"])
    extract.memory(file, tmp_path / "core", elf=True)
    orders = ["core " + str(tmp_path / "core"), "thread 2", "print/x $rip", "print/x $rsp", "x/8cb 0x1000", "x/1xb 0x2fff",
              "x/1cb 0x10000000"]  # fmt: skip
    shown = subprocess.run(["gdb", "-nx", "-batch", *[word for order in orders for word in ("-ex", order)]],
                           capture_output=True, text=True).stdout  # fmt: skip
    assert "= 0x1001" in shown and "= 0x2001" in shown
    assert shown.count("66 'B'") == 8 and "0x2fff:\t0x00" in shown and "102 'f'" in shown


def test_a_core_of_very_many_ranges_says_so_elsewhere() -> None:
    ranges = [(2 * number, 1) for number in range(70_000)]
    core = b"".join(elf_core.head(len(ranges), ranges, b"notes"))
    found = segments(core)
    assert len(found) == 70_001
    assert found[-1][2:5] == (len(core) + 69_999 * 4096, 139_998 * 4096, 139_998 * 4096)
    assert core[found[0][2] :].startswith(b"notes") and len(core) % 4096 == 0


def test_a_page_is_the_last_that_came(file: Path, tmp_path: Path) -> None:
    for number in ("1", "0x1"):
        assert pyxl("extract", "--page", number, "-o", str(tmp_path / "page"), str(file)).returncode == 0
        assert (tmp_path / "page").read_bytes() == page("B")


def test_device_state_and_context_are_what_was_saved(file: Path, tmp_path: Path) -> None:
    extract.device_state(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"QEVM device state"
    extract.context(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == streams.context(2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--page", "3"), "has no page for gfn 0x3"), (("--page", "x"), "no number"), ((), "extract takes one of"),
        (("--page", "-1"), "has no page"), (("--page", "1", "--hvm-context"), "extract takes one of"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_said_and_makes_no_file(file: Path, arguments: tuple[str, ...], said: str) -> None:
    done = pyxl("extract", *arguments, "-o", str(file.parent / "out"), str(file))
    assert done.returncode != 0 and said in done.stderr and done.stderr.count("\n") == 1
    assert [each.name for each in file.parent.iterdir()] == ["file"]


def test_a_cut_file_gives_no_memory_and_leaves_the_old_output(file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    for cut in range(0, len(GUEST), 1013):
        file.write_bytes(GUEST[:cut])
        with pytest.raises(PyxlError):
            extract.memory(file, tmp_path / "out", elf=True)
    assert (tmp_path / "out").read_text() == "old"


def test_the_output_is_not_the_checkpoint_itself(file: Path) -> None:
    assert "is the checkpoint itself" in pyxl("extract", "--memory", "raw", "-o", str(file), str(file)).stderr
    assert file.read_bytes() == GUEST


def test_a_page_that_claims_to_lie_beyond_all_guests_makes_no_endless_file(file: Path, tmp_path: Path) -> None:
    file.write_bytes(streams.guest(streams.memory({0: page("a"), (1 << 52) - 1: page("b")})))
    assert "more than Xen gives a guest" in pyxl("extract", "--memory", "raw", "-o", str(tmp_path / "out"), str(file)).stderr


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_files_are_answered(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = bytearray(GUEST)
    record = GUEST.index(streams.memory({0: page("a"), 1: page("b"), 2: ZERO, 3: None, 4: page("e")})[:24])
    for _ in range(data.draw(st.integers(1, 3))):
        at = record + data.draw(st.integers(0, 60) | st.integers(-200, len(GUEST) - record - 8))
        changed[at : at + 4] = data.draw(st.sampled_from([0, 1, 8, 0x1000, 1 << 31, (1 << 32) - 1]) | st.integers(0, 255)).to_bytes(4, "little")
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(changed)
    out = path.with_name("out")
    with suppress(PyxlError):
        extract.page(path, out, 1)
    with suppress(PyxlError):
        extract.memory(path, out, elf=True)
    with suppress(PyxlError):
        extract.device_state(path, out)
    with suppress(PyxlError):
        extract.context(path, out)
