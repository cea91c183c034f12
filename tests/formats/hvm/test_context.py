"""The HVM context: encodes to the same bytes, and shows vcpus, LAPIC, MTRRs and clocks."""

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.errors import BadRecord
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.hvm import params as hvm_params
from pyxl.formats.hvm import state as hvm_state
from pyxl.formats.hvm.context import CPU, END, HEADER, LAPIC, LAPIC_REGS, LAYOUTS, MSR, MTRR, TSC_ADJUST, XSAVE, Entry

#: Sizes of Xen 4.22's entries in bytes, from a C compiler.
SIZES = {
    "END": 0, "HEADER": 24, "CPU": 1032, "PIC": 8, "IOAPIC": 400, "LAPIC": 32, "LAPIC_REGS": 1024, "PCI_IRQ": 16,
    "ISA_IRQ": 8, "PCI_LINK": 8, "PIT": 56, "RTC": 24, "HPET": 1048, "PMTIMER": 8, "MTRR": 240, "VIRIDIAN_DOMAIN": 32,
    "XSAVE": 600, "VIRIDIAN_VCPU": 216, "VMCE_VCPU": 32, "TSC_ADJUST": 8, "MSR": 8,
}  # fmt: skip


def context(*entries: tuple[int, int, bytes]) -> list[Entry]:
    """Return the entries of a context that has these and END."""
    packed = (hvm_context.DESCRIPTOR.pack(kind, number, len(body)) + body for kind, number, body in [*entries, (END, 0, b"")])
    return list(hvm_context.decode(b"".join(packed), 0))


def entry(kind: int, **values: hvm_context.Value) -> Entry:
    """Return an entry that is 0 except for these fields."""
    zero = hvm_context.fields(Entry(0, kind, 0, bytes(LAYOUTS[kind].size)))
    return Entry(0, kind, 0, hvm_context.pack(kind, {**zero, **values}))


def test_every_entry_is_as_long_as_xen_s() -> None:
    assert {layout.name: layout.size for layout in LAYOUTS.values()} == SIZES


def test_the_readme_has_every_entry_with_its_type_and_size() -> None:
    text = (Path(hvm_context.__file__).parent / "README.md").read_text()
    for kind, layout in LAYOUTS.items():
        assert re.search(rf"^\| {kind} \| {layout.name} \| {layout.size}\b", text, re.MULTILINE), layout.name


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=5))
def test_every_context_comes_back_and_leaves_what_follows(parts: list[tuple[int, int, bytes]]) -> None:
    entries = context(*parts)
    data = hvm_context.encode(entries)
    assert [(each.typecode, each.instance, each.body) for each in entries] == [*parts, (END, 0, b"")]
    assert hvm_context.encode(hvm_context.decode(data + b"junk", 0)) == data
    for end in range(len(data)):
        with pytest.raises(BadRecord):
            list(hvm_context.decode(data[:end], 0))


def test_a_cut_context_says_where() -> None:
    data = hvm_context.encode(context((TSC_ADJUST, 0, bytes(8))))
    with pytest.raises(BadRecord) as caught:
        list(hvm_context.decode(data[:-1], 1000))
    assert caught.value.offset == 1000 + 16
    with pytest.raises(BadRecord):
        list(hvm_context.decode(struct.pack("<HHI", CPU, 0, 0xFFFF_FFFF), 0))


@pytest.mark.parametrize("kind", [*LAYOUTS, 99])
@given(data=st.data())
def test_every_entry_s_fields_come_back_at_any_length(kind: int, data: st.DataObject) -> None:
    size = LAYOUTS[kind].size if kind in LAYOUTS else 9
    length = data.draw(st.sampled_from([size, *range(0, size, 7), size + 1, size + 32]))
    body = data.draw(st.randoms()).randbytes(length)
    assert hvm_context.pack(kind, hvm_context.fields(Entry(0, kind, 0, body))) == body


def test_fields_have_the_values_that_stand_there() -> None:
    body = bytearray(range(256)) * 5
    values = hvm_context.fields(Entry(0, CPU, 0, bytes(body[:1032])))
    assert values["rax"] == int.from_bytes(body[512:520], "little")
    assert values["rip"] == int.from_bytes(body[640:648], "little")
    assert values["cs_sel"] == int.from_bytes(body[736:740], "little")
    assert values["idtr_base"] == int.from_bytes(body[872:880], "little")
    assert values["tsc"] == int.from_bytes(body[1008:1016], "little")
    assert hvm_context.REST not in values


def test_entries_are_named() -> None:
    assert [each.name for each in context((CPU, 0, b""), (77, 0, b""))] == ["CPU", "77", "END"]


@pytest.mark.parametrize(
    ("cr0", "rflags", "efer", "attributes", "said"),
    [
        (0, 0, 0, 0, "real"), (1, 1 << 17, 0, 0, "virtual-8086"), (1, 0, 0, 0, "16-bit"), (1, 0, 0, 1 << 10, "32-bit"),
        (1, 0, 1 << 10, 1 << 10, "compatibility"), (1 | 1 << 31, 1 << 17, 1 << 10, 1 << 9, "64-bit"),
    ],
)  # fmt: skip
def test_a_vcpu_s_mode(cr0: int, rflags: int, efer: int, attributes: int, said: str) -> None:
    cpu = hvm_context.fields(entry(CPU, cr0=cr0, rflags=rflags, msr_efer=efer, cs_arbytes=attributes))
    assert hvm_state.mode(cpu) == said


def test_a_vcpu_s_segments() -> None:
    cpu = hvm_context.fields(entry(CPU, cs_sel=0x10, cs_base=1 << 40, cs_limit=0xFFFF_FFFF, cs_arbytes=0xA9B))
    found = hvm_state.segments(cpu)
    assert list(found) == ["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr"]
    assert found["cs"] == (0x10, 1 << 40, 0xFFFF_FFFF, 0xA9B)
    assert (found["cs"].is_present, found["cs"].is_long, found["cs"].is_32bit) == (True, True, False)


def test_a_lapic_s_registers() -> None:
    page = bytearray(1024)
    page[0x20:0x24] = (1 << 24).to_bytes(4, "little")
    page[0x320:0x324] = (0xEC).to_bytes(4, "little")
    page[0x210] = 1 << 1  # vector 33
    found = hvm_state.lapic(Entry(0, LAPIC_REGS, 0, bytes(page)))
    assert (found["id"], found["lvt_timer"], found["irr"], found["isr"]) == (1 << 24, 0xEC, 1 << 33, 0)


def test_memory_types() -> None:
    variable = (0xF000_0000, 0xF_F000_0000 | 1 << 11, *(0,) * 14)
    fixed = (0x0606_0606_0606_0606, *(0,) * 10)
    found = hvm_state.mtrr(entry(MTRR, pat=0x0007_0406_0007_0406, def_type=0xC06, variable=variable, fixed=fixed))
    assert (found.enabled, found.fixed_enabled, found.default) == (True, True, "WB")
    assert found.variable == ((0xF000_0000, 0xF_F000_0000, "UC"),)
    assert found.fixed[0] == (0, ("WB",) * 8)
    assert found.fixed[-1] == (0xF8000, ("UC",) * 8)
    assert found.pat == ("WB", "WT", "UC-", "UC") * 2


def test_msrs() -> None:
    body = struct.pack("<II", 2, 0) + struct.pack("<IIQ", 0xC000_0103, 0, 7) + struct.pack("<IIQ", 0xDA0, 0, 9)
    assert hvm_state.msrs(Entry(0, MSR, 0, body)) == {0xC000_0103: 7, 0xDA0: 9}


def test_a_vcpu_s_clocks_are_its_own() -> None:
    header = hvm_context.pack(HEADER, {"magic": hvm_context.MAGIC, "version": 1, "changeset": 0, "cpuid": 0, "gtsc_khz": 2_400_000})
    entries = context(
        (HEADER, 0, header), (CPU, 0, entry(CPU, tsc=5).body), (CPU, 1, entry(CPU, tsc=6).body),
        (LAPIC, 1, entry(LAPIC, tdt_msr=7).body), (TSC_ADJUST, 1, struct.pack("<Q", 8)), (XSAVE, 1, b""),
    )  # fmt: skip
    assert hvm_state.clocks(entries, 1) == {"tsc_khz": 2_400_000, "tsc": 6, "tsc_deadline": 7, "tsc_adjust": 8}


def test_fields_that_an_older_xen_did_not_save_are_0() -> None:
    old = Entry(0, CPU, 0, entry(CPU, cr0=1).body[:1016])
    assert hvm_state.mode(hvm_context.fields(old)) == "16-bit"
    assert hvm_state.mtrr(Entry(0, MTRR, 0, b"")).variable == ()


def test_params_are_named() -> None:
    assert [hvm_params.name(index) for index in (1, 38, 3)] == ["STORE_PFN", "MCA_CAP", "3"]
