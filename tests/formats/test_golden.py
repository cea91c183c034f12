"""Real checkpoints: every element decodes, and encodes to the same bytes; verify finds nothing wrong."""

import gzip
from pathlib import Path

import pytest

from pyxl.files.inspect import inspect
from pyxl.files.verify import verify
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.hvm import params as hvm_params
from pyxl.formats.hvm import state as hvm_state
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2, walk, xl_header
from pyxl.formats.stream.finding import UNKNOWN
from pyxl.formats.stream.walk import Element
from tests.formats.stream.test_streams import Bytes

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("*.ckpt.gz"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.split(".")[0])


#: The type and the number of vcpus of the guest in each file.
GUESTS = {
    "pyxl-hvm": ("hvm", 1), "pyxl-hvm-2vcpus-disks": ("hvm", 2), "xl-hvm": ("hvm", 1), "xl-hvm-2vcpus-disks": ("hvm", 2),
    "xl-hvm-4.20": ("hvm", 1), "xl-hvm-nopv": ("hvm", 1), "xl-hvm-live": ("hvm", 1), "xl-pv": ("pv", 2), "xl-pvh": ("pvh", 2),
}  # fmt: skip


def elements(data: bytes) -> list[Element]:
    source = Bytes(data)
    return list(walk.elements(source.take, source.skip))


def again(element: Element, body: bytes) -> bytes:
    """Decode a record and return it encoded."""
    match element.layer, element.kind:
        case "libxl", libxl_v2.EMULATOR_CONTEXT:
            return libxl_v2.emulator_context(*libxl_v2.decode_emulator_context(body, 0))
        case "libxl", libxl_v2.EMULATOR_XENSTORE_DATA:
            return libxl_v2.emulator_xenstore_data(*libxl_v2.decode_xenstore_data(body, 0))
        case "libxc", libxc_v2.PAGE_DATA:
            size = libxc_records.page_head_size(body[:8], len(body), 0)
            return libxc_records.encode_page_head(libxc_records.decode_pages(body[:size])) + body[size:]
        case "libxc", libxc_v2.HVM_CONTEXT:
            entries = list(hvm_context.decode(body, 0))
            packed = [each._replace(body=hvm_context.pack(each.typecode, hvm_context.fields(each))) for each in entries]
            return libxc_records.encode(element.kind, hvm_context.encode(packed))
    return libxc_records.encode(element.kind, libxc_records.decode(element.kind, body, 0))


@each_file
def test_every_record_comes_back(path: Path) -> None:
    data = gzip.decompress(path.read_bytes())
    assert xl_header.parse(Bytes(data).take).encode() == data[: xl_header.parse(Bytes(data).take).size]
    for element in elements(data):
        if element.kind != walk.NO_RECORD:
            assert again(element, data[element.body :][: element.length]) == data[element.offset : element.end], element.title


@each_file
def test_nothing_is_wrong_with_it(path: Path, tmp_path: Path) -> None:
    whole = tmp_path / "checkpoint"
    whole.write_bytes(gzip.decompress(path.read_bytes()))
    found = verify(whole)
    assert found.worst is (None if path.name.startswith("pyxl-") else UNKNOWN), found.findings


def test_every_guest_is_there_with_all_its_vcpus(tmp_path: Path) -> None:
    found = {}
    for path in FILES:
        whole = tmp_path / "checkpoint"
        whole.write_bytes(gzip.decompress(path.read_bytes()))
        guest = inspect(whole).guest
        found[path.name.removesuffix(".ckpt.gz")] = guest.type, guest.vcpus
        assert vcpus_in(whole.read_bytes()) == guest.vcpus, path.name
    assert found == GUESTS


def vcpus_in(data: bytes) -> int:
    """Return how many vcpus have their registers in the file."""
    count = 0
    for element in elements(data):
        if element.title == "libxc HVM_CONTEXT":
            count += sum(entry.name == "CPU" for entry in hvm_context.decode(data[element.body :][: element.length], 0))
        count += element.title == "libxc X86_PV_VCPU_BASIC"
    return count


def test_a_live_stream_has_pages_twice() -> None:
    data = gzip.decompress((GOLDEN / "xl-hvm-live.ckpt.gz").read_bytes())
    bodies = [data[each.body :][: each.length] for each in elements(data) if each.title == "libxc PAGE_DATA"]
    pages = [
        pfn
        for body in bodies
        for pfn, _, at in libxc_records.decode_pages(body[: libxc_records.page_head_size(body[:8], len(body), 0)]).pages()
        if at is not None
    ]
    assert len(pages) >= 2 * len(set(pages)) > 0


def test_what_the_hvm_guest_was_doing() -> None:
    data = gzip.decompress((GOLDEN / "pyxl-hvm.ckpt.gz").read_bytes())
    bodies = {element.kind: data[element.body :][: element.length] for element in elements(data) if element.layer == "libxc"}
    entries = list(hvm_context.decode(bodies[libxc_v2.HVM_CONTEXT], 0))
    assert [entry.name for entry in entries] == (
        "HEADER CPU PIC PIC IOAPIC LAPIC LAPIC_REGS PCI_IRQ ISA_IRQ PCI_LINK PIT RTC HPET PMTIMER MTRR VMCE_VCPU TSC_ADJUST END"
    ).split()  # fmt: skip
    cpu = hvm_context.fields(entries[1])
    assert hvm_state.mode(cpu) == "64-bit"
    assert hvm_state.segments(cpu)["cs"] == (0x10, 0, 0xFFFF_FFFF, 0xA9B)
    assert hvm_state.clocks(entries, 0)["tsc_khz"] == 2_596_133
    assert hvm_state.mtrr(entries[14]).variable[0] == (0xF000_0000, 0xFF_F800_0000, "UC")
    params = libxc_records.decode(libxc_v2.HVM_PARAMS, bodies[libxc_v2.HVM_PARAMS], 0)
    assert isinstance(params, libxc_records.HvmParams)
    assert {hvm_params.name(index): value for index, value in params.params}["STORE_PFN"] == 0xFEFFC
