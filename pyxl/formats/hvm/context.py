"""The HVM context, Xen's own state of an HVM guest: entries to objects and back.

Spec: README.md of this folder.  Knows where fields are; does not know what they mean (state.py does).
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from pyxl.errors import BadRecord

DESCRIPTOR = struct.Struct("<HHI")  # typecode, instance, length
END, HEADER, CPU, LAPIC, LAPIC_REGS, MTRR, XSAVE, TSC_ADJUST, MSR = 0, 1, 2, 5, 6, 14, 16, 19, 20
MAGIC = 0x5438_1286
VERSION = 1
#: The bytes after the last field that a layout knows: entries grow with Xen, XSAVE and MSR with the processor.
REST = "rest"

#: A number, several numbers, or bytes that are no numbers.
Value: TypeAlias = int | tuple[int, ...] | bytes


class Entry(NamedTuple):
    """One entry; ``offset`` is that of its descriptor in the context, ``instance`` is mostly a vcpu's number."""

    offset: int
    typecode: int
    instance: int
    body: bytes

    @property
    def name(self) -> str:
        return LAYOUTS[self.typecode].name if self.typecode in LAYOUTS else str(self.typecode)


class Layout(NamedTuple):
    """An entry's name and its fields in order, without gaps, each with its struct format."""

    name: str
    fields: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        return struct.calcsize("<" + "".join(code for _, code in self.fields))


def _layout(name: str, text: str) -> Layout:
    """Return the layout that "NAME,NAME:FORMAT NAME:FORMAT" describes."""
    pairs = (part.split(":") for part in text.split())
    return Layout(name, tuple((field, code) for names, code in pairs for field in names.split(",")))


def _each(names: str, ending: str) -> str:
    return ",".join(name + ending for name in names.split())


_SEGMENTS = "cs ds es fs gs ss tr ldtr"
_TABLES = "idtr gdtr"
_PIT_BYTES = "count_latched status_latched status read_state write_state write_latch rw_mode mode bcd gate"
LAYOUTS = {
    END: _layout("END", ""),
    HEADER: _layout("HEADER", "magic,version:I changeset:Q cpuid,gtsc_khz:I"),
    CPU: _layout(
        "CPU",
        "fpu:512s rax,rbx,rcx,rdx,rbp,rsi,rdi,rsp,r8,r9,r10,r11,r12,r13,r14,r15,rip,rflags,"
        "cr0,cr2,cr3,cr4,dr0,dr1,dr2,dr3,dr6,dr7:Q "
        f"{_each(_SEGMENTS, '_sel')}:I {_each(f'{_SEGMENTS} {_TABLES}', '_limit')}:I "
        f"{_each(f'{_SEGMENTS} {_TABLES}', '_base')}:Q {_each(_SEGMENTS, '_arbytes')}:I "
        "sysenter_cs,sysenter_esp,sysenter_eip,shadow_gs,msr_flags,msr_lstar,msr_star,msr_cstar,msr_syscall_mask,"
        "msr_efer,msr_tsc_aux,tsc:Q pending_event,error_code,flags,pad:I",
    ),
    3: _layout("PIC", "irr,imr,isr,irq_base,init_priority,modes,elcr,int_output:B"),
    4: _layout("IOAPIC", "base_address:Q ioregsel,id:I redirtbl:48Q"),
    LAPIC: _layout("LAPIC", "apic_base_msr:Q disabled,timer_divisor:I tdt_msr:Q pending_esr,pad:I"),
    LAPIC_REGS: _layout("LAPIC_REGS", "registers:1024s"),
    7: _layout("PCI_IRQ", "wires:2Q"),
    8: _layout("ISA_IRQ", "wires:Q"),
    9: _layout("PCI_LINK", "route:4B pad:4s"),
    10: _layout(
        "PIT",
        " ".join(f"count{n}:I latched_count{n}:H {_each(_PIT_BYTES, str(n))}:B" for n in range(3))
        + " speaker_data_on,pad:I",
    ),
    11: _layout("RTC", "cmos:14s cmos_index,pad:B rtc_offset:q"),
    12: _layout(
        "HPET",
        "capability,res0,config,res1,isr:Q res2:25Q mc64,res3:Q "
        + " ".join(f"config{n},cmp{n},fsb{n},res_{n}:Q" for n in range(3))
        + " res5:84Q period:3Q",
    ),
    13: _layout("PMTIMER", "tmr_val:I pm1a_sts,pm1a_en:H"),
    MTRR: _layout("MTRR", "pat:Q variable:16Q fixed:11Q cap,def_type:Q"),
    15: _layout("VIRIDIAN_DOMAIN", "hypercall_gpa,guest_os_id,time_ref_count,reference_tsc:Q"),
    XSAVE: _layout("XSAVE", "xfeature_mask,xcr0,xcr0_accum:Q fpu:512s xstate_bv,xcomp_bv:Q reserved:6Q"),
    17: _layout(
        "VIRIDIAN_VCPU",
        "vp_assist_msr:Q apic_assist_pending:B pad:7s simp_msr:Q sint_msr:16Q stimer_config_msr,stimer_count_msr:4Q",
    ),
    18: _layout("VMCE_VCPU", "caps,mci_ctl2_bank0,mci_ctl2_bank1,mcg_ext_ctl:Q"),
    TSC_ADJUST: _layout("TSC_ADJUST", "tsc_adjust:Q"),
    MSR: _layout("MSR", "count,pad:I"),
}  # fmt: skip


def decode(context: bytes, offset: int) -> Iterator[Entry]:
    """Yield the entries up to and including END; ignore what follows it.

    ``offset`` is where the context starts in the file, for the error.

    :raise BadRecord: it ends within an entry, or without END.
    """
    at = 0
    while True:
        if at + DESCRIPTOR.size > len(context):
            raise BadRecord("the HVM context ends without END", offset + at)
        typecode, instance, length = DESCRIPTOR.unpack_from(context, at)
        body = at + DESCRIPTOR.size
        if body + length > len(context):
            raise BadRecord(f"the HVM context ends within an entry of {length} bytes", offset + at)
        yield Entry(at, typecode, instance, context[body : body + length])
        if typecode == END:
            return
        at = body + length


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the context that holds these entries; the last should be END."""
    return b"".join(DESCRIPTOR.pack(each.typecode, each.instance, len(each.body)) + each.body for each in entries)


def fields(entry: Entry) -> dict[str, Value]:
    """Return an entry's fields by name, as far as its body goes, and the bytes after the last one as ``REST``."""
    found: dict[str, Value] = {}
    at = 0
    for name, code in LAYOUTS[entry.typecode].fields if entry.typecode in LAYOUTS else ():
        size = struct.calcsize("<" + code)
        if at + size > len(entry.body):
            break
        values = struct.unpack_from("<" + code, entry.body, at)
        found[name] = values if len(values) > 1 else values[0]
        at += size
    if at < len(entry.body):
        found[REST] = entry.body[at:]
    return found


def pack(typecode: int, values: Mapping[str, Value]) -> bytes:
    """Return the body of an entry with these fields, the reverse of ``fields``."""
    layout = LAYOUTS[typecode].fields if typecode in LAYOUTS else ()
    packed = [_pack_one(code, values[name]) for name, code in layout if name in values]
    rest = values.get(REST, b"")
    assert isinstance(rest, bytes)
    return b"".join(packed) + rest


def _pack_one(code: str, value: Value) -> bytes:
    return struct.pack("<" + code, *value) if isinstance(value, tuple) else struct.pack("<" + code, value)
