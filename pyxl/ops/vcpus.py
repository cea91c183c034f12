"""The vcpus of an HVM guest, as its checkpoint has them: their registers, and what those mean."""

from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.source import opened
from pyxl.formats import hvm_context, hvm_state
from pyxl.formats.hvm_context import Entry, Value
from pyxl.formats.hvm_state import Segment
from pyxl.ops.inspect import MAX_CONTENT, Inspection

#: More than an HVM guest of Xen can have.
MAX_VCPUS = 1024


class Vcpu(NamedTuple):
    """One vcpu; ``registers`` are the numbers of its CPU entry by name, ``clocks`` in ticks and kHz."""

    number: int
    mode: str
    registers: dict[str, int]
    segments: dict[str, Segment]
    lapic: dict[str, int]
    clocks: dict[str, int]


def vcpus(path: Path, found: Inspection) -> list[Vcpu]:
    """Return the vcpus of a checkpoint that was inspected; none where it has no HVM context.

    :raise StreamError: the context is broken.
    """
    for record in found.records:
        if record.name == "HVM_CONTEXT" and record.length <= MAX_CONTENT:
            with opened(path) as source:
                context = source.read(record.body, record.length)
            return of_context(list(hvm_context.decode(context, record.body)))
    return []


def of_context(entries: list[Entry]) -> list[Vcpu]:
    """Return the vcpus that an HVM context has."""
    lapics = {entry.instance: entry for entry in entries if entry.typecode == hvm_context.LAPIC_REGS}
    found = []
    for entry in [entry for entry in entries if entry.typecode == hvm_context.CPU][:MAX_VCPUS]:
        fields: dict[str, Value] = hvm_context.fields(entry)
        lapic = lapics.get(entry.instance)
        found.append(
            Vcpu(
                entry.instance,
                hvm_state.mode(fields),
                {name: value for name, value in fields.items() if isinstance(value, int)},
                hvm_state.segments(fields),
                hvm_state.lapic(lapic) if lapic else {},
                hvm_state.clocks(entries, entry.instance),
            )
        )
    return found
