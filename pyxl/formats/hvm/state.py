"""What fields of the HVM context mean: a vcpu's mode and segments, its LAPIC, MTRRs, MSRs and clocks.

Spec: the processor's own manuals.  Knows the fields of context.py; does not know the bytes that they come from.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pyxl.formats.hvm import context
from pyxl.formats.hvm.context import Entry, Value

CR0_PE, CR0_PG, RFLAGS_VM, EFER_LMA = 1 << 0, 1 << 31, 1 << 17, 1 << 10
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr")
MEMORY_TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
#: Byte offset of each register in the LAPIC's page.
LAPIC_REGISTERS = {
    "id": 0x20, "version": 0x30, "tpr": 0x80, "apr": 0x90, "ppr": 0xA0, "ldr": 0xD0, "dfr": 0xE0, "spurious": 0xF0,
    "esr": 0x280, "lvt_cmci": 0x2F0, "icr_low": 0x300, "icr_high": 0x310, "lvt_timer": 0x320, "lvt_thermal": 0x330,
    "lvt_pmc": 0x340, "lvt_lint0": 0x350, "lvt_lint1": 0x360, "lvt_error": 0x370, "timer_initial": 0x380,
    "timer_current": 0x390, "timer_divide": 0x3E0,
}  # fmt: skip
#: Byte offset of the first of the eight words that hold a bit for each vector.
LAPIC_VECTORS = {"isr": 0x100, "tmr": 0x180, "irr": 0x200}
FIXED_RANGES = (0x00000, 0x80000, 0xA0000, 0xC0000, 0xC8000, 0xD0000, 0xD8000, 0xE0000, 0xE8000, 0xF0000, 0xF8000)
_MSR = struct.Struct("<IIQ")  # index, reserved, value


class Segment(NamedTuple):
    """A segment register; ``attributes`` are, from bit 0 on: type (4 bits), S, DPL (2 bits), P, AVL, L, D/B, G."""

    selector: int
    base: int
    limit: int
    attributes: int

    @property
    def is_present(self) -> bool:
        return bool(self.attributes & 1 << 7)

    @property
    def is_long(self) -> bool:
        return bool(self.attributes & 1 << 9)

    @property
    def is_32bit(self) -> bool:
        return bool(self.attributes & 1 << 10)


class Mtrr(NamedTuple):
    """Memory types: ``variable`` are (base, mask, type) of the ranges in use, ``fixed`` (start, eight types)."""

    enabled: bool
    fixed_enabled: bool
    default: str
    variable: tuple[tuple[int, int, str], ...]
    fixed: tuple[tuple[int, tuple[str, ...]], ...]
    pat: tuple[str, ...]


def segments(cpu: Mapping[str, Value]) -> dict[str, Segment]:
    """Return the segment registers out of the fields of a CPU entry."""
    return {
        name: Segment(*(_number(cpu, f"{name}_{part}") for part in ("sel", "base", "limit", "arbytes")))
        for name in SEGMENTS
    }


def mode(cpu: Mapping[str, Value]) -> str:
    """Return how the vcpu was running: "real", "virtual-8086", "16-bit", "32-bit", "compatibility" or "64-bit"."""
    code = segments(cpu)["cs"]
    if not _number(cpu, "cr0") & CR0_PE:
        return "real"
    if _number(cpu, "msr_efer") & EFER_LMA:
        return "64-bit" if code.is_long else "compatibility"
    if _number(cpu, "rflags") & RFLAGS_VM:
        return "virtual-8086"
    return "32-bit" if code.is_32bit else "16-bit"


def lapic(entry: Entry) -> dict[str, int]:
    """Return the registers out of a LAPIC_REGS entry; isr, tmr and irr are numbers of 256 bits, one a vector."""
    page = entry.body.ljust(context.LAYOUTS[context.LAPIC_REGS].size, b"\0")
    found = {name: int.from_bytes(page[at : at + 4], "little") for name, at in LAPIC_REGISTERS.items()}
    for name, first in LAPIC_VECTORS.items():
        words = b"".join(page[at : at + 4] for at in range(first, first + 0x80, 0x10))
        found[name] = int.from_bytes(words, "little")
    return found


def mtrr(entry: Entry) -> Mtrr:
    """Return what an MTRR entry says about memory types."""
    values = context.fields(entry)
    default = _number(values, "def_type")
    numbers = _numbers(values, "variable")
    used = [pair for pair in zip(numbers[::2], numbers[1::2], strict=False) if pair[1] & 1 << 11]
    return Mtrr(
        enabled=bool(default & 1 << 11),
        fixed_enabled=bool(default & 1 << 10),
        default=_memory_type(default & 0xFF),
        variable=tuple((base & ~0xFFF, mask & ~0xFFF, _memory_type(base & 0xFF)) for base, mask in used),
        fixed=tuple(zip(FIXED_RANGES, map(_types, _numbers(values, "fixed")), strict=False)),
        pat=_types(_number(values, "pat")),
    )


def msrs(entry: Entry) -> dict[int, int]:
    """Return the values in an MSR entry by their index."""
    entries = entry.body[context.LAYOUTS[context.MSR].size :]
    whole = entries[: len(entries) // _MSR.size * _MSR.size]
    return {index: value for index, _, value in _MSR.iter_unpack(whole)}


def clocks(entries: Iterable[Entry], vcpu: int) -> dict[str, int]:
    """Return a vcpu's clocks, in ticks and kHz: tsc, tsc_adjust, tsc_deadline, tsc_khz, where saved."""
    found = {}
    for entry in entries:
        values = context.fields(entry)
        if entry.typecode == context.HEADER:
            found["tsc_khz"] = _number(values, "gtsc_khz")
        elif entry.instance != vcpu:
            continue
        elif entry.typecode == context.CPU:
            found["tsc"] = _number(values, "tsc")
        elif entry.typecode == context.TSC_ADJUST:
            found["tsc_adjust"] = _number(values, "tsc_adjust")
        elif entry.typecode == context.LAPIC:
            found["tsc_deadline"] = _number(values, "tdt_msr")
    return found


def _number(values: Mapping[str, Value], name: str) -> int:
    """Return a field that is one number, or 0 where the entry is too short for it."""
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0


def _numbers(values: Mapping[str, Value], name: str) -> tuple[int, ...]:
    value = values.get(name, ())
    return value if isinstance(value, tuple) else ()


def _types(word: int) -> tuple[str, ...]:
    return tuple(_memory_type(byte) for byte in word.to_bytes(8, "little"))


def _memory_type(number: int) -> str:
    return MEMORY_TYPES.get(number, str(number))
