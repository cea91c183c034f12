"""The vcpus of an HVM guest, as its checkpoint has them: their registers, and what those mean."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pyxl.files.inspect import MAX_CONTENT, Inspection
from pyxl.files.opened import opened
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.hvm import state as hvm_state
from pyxl.formats.hvm.context import Entry, Value
from pyxl.formats.hvm.state import Segment
from pyxl.formats.stream.content import MAX_ENTRIES

#: As many as Xen gives an HVM guest.
MAX_VCPUS = 128


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
            return of_context(hvm_context.decode(context, record.body))
    return []


def of_context(entries: Iterable[Entry]) -> list[Vcpu]:
    """Return the vcpus in an HVM context."""
    header: list[Entry] = []
    by_vcpu: defaultdict[int, dict[int, Entry]] = defaultdict(dict)
    for entry in islice(entries, MAX_ENTRIES):
        if entry.typecode == hvm_context.HEADER:
            header = [entry]
        else:
            by_vcpu[entry.instance][entry.typecode] = entry
    each = ((number, found) for number, found in by_vcpu.items() if hvm_context.CPU in found)
    return [_vcpu(number, found, [*header, *found.values()]) for number, found in islice(each, MAX_VCPUS)]


def _vcpu(number: int, found: dict[int, Entry], entries: list[Entry]) -> Vcpu:
    fields: dict[str, Value] = hvm_context.fields(found[hvm_context.CPU])
    lapic = found.get(hvm_context.LAPIC_REGS)
    return Vcpu(
        number,
        hvm_state.mode(fields),
        {name: value for name, value in fields.items() if isinstance(value, int)},
        hvm_state.segments(fields),
        hvm_state.lapic(lapic) if lapic else {},
        hvm_state.clocks(entries, number),
    )
