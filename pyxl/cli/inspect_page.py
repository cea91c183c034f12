"""An inspection as the document of a page: the guest, a picture of its memory, the records, the vcpus."""

import json
from pathlib import Path
from typing import Any

from pyxl import __version__
from pyxl.cli import page
from pyxl.cli.inspect_text import facts
from pyxl.errors import StreamError
from pyxl.files.inspect import Inspection, Record
from pyxl.files.memory_map import guest_map
from pyxl.files.vcpus import Vcpu, vcpus

GENERAL = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split()
CONTROL = "cr0 cr2 cr3 cr4 dr0 dr1 dr2 dr3 dr6 dr7".split()
COLUMNS = [("offset", "number"), ("size", "number"), ("layer", "layer"), ("record", ""), ("says", "wide detail")]
#: The most characters of a text in a table or card.
MOST = 300


def html(path: Path, found: Inspection) -> bytes:
    """Return the page of a checkpoint that was inspected with its contents."""
    memory = guest_map(path, found.config)
    zeros = dict(memory.kinds)["zero"]
    said = dict(facts(found, zeros))
    whole = said.pop("whole")
    del said["name"]  # it is the title
    document = {
        "title": found.guest.name or "a guest without a name",
        "subtitle": f"{found.guest.type or ''} checkpoint {found.file}",
        "verdicts": [(not found.errors, f"whole: {whole}"), *((False, error) for error in found.errors)],
        "facts": list(said.items()),
        "map": page.memory("Guest memory by address", memory),
        "sections": [_records(found), *_vcpus(path, found), *_config(found)],
        "footer": f"pyxl {__version__}",
    }
    return page.render(document)


def _records(found: Inspection) -> dict[str, Any]:
    return {
        "title": "Records in the order of the file",
        "strip": [
            (each.layer, f"{each.layer} {_name(each)} at {each.offset:,}", each.size) for each in found.records
        ],
        "text": f"{found.left_out} records more are not listed." if found.left_out else "",
        "columns": COLUMNS,
        "rows": [
            (f"{record.offset:,}", f"{record.size:,}", record.layer, _name(record), _said(record.content))
            for record in found.records
        ],
    }


def _name(record: Record) -> str:
    return f"{record.name} x{record.records}" if record.records > 1 else record.name


def _said(content: Any) -> str:
    if isinstance(content, dict):
        said = ", ".join(f"{name} {value}" for name, value in content.items())
    elif isinstance(content, list):
        names = [entry["name"] for entry in content if "name" in entry]
        said = f"{len(content)} entries" + (f": {', '.join(dict.fromkeys(names))}" if names else "")
    else:
        said = ""
    return said if len(said) <= MOST else said[:MOST] + "…"


def _vcpus(path: Path, found: Inspection) -> list[dict[str, Any]]:
    try:
        cards = [_vcpu(vcpu) for vcpu in vcpus(path, found)]
    except StreamError as error:
        return [{"title": "Virtual processors", "text": str(error)}]
    if not cards:
        return []
    cards[0]["open"] = True
    return [{"title": "Virtual processors", "parts": cards}]


def _vcpu(vcpu: Vcpu) -> dict[str, Any]:
    registers = vcpu.registers
    system = [name for name in registers if name.startswith(("msr_", "sysenter_", "shadow_", "idtr_", "gdtr_"))]
    segments = [
        (name, f"{segment.selector:#x} {segment.base:#x} +{segment.limit:#x} {segment.attributes:#x}")
        for name, segment in vcpu.segments.items()
    ]
    groups = [
        ("General registers", _named(registers, GENERAL)),
        ("Segments: selector, base, limit, attributes", segments),
        ("Control and debug registers", _named(registers, CONTROL)),
        ("MSRs and tables", _named(registers, system)),
        ("Clocks", [(name, str(value)) for name, value in vcpu.clocks.items()]),
        ("LAPIC", [(name, f"{value:#x}") for name, value in vcpu.lapic.items()]),
    ]
    note = f"{vcpu.mode}, rip {registers.get('rip', 0):#x}"
    return {"title": f"vcpu {vcpu.number}", "note": note, "groups": [group for group in groups if group[1]]}


def _named(registers: dict[str, int], names: list[str]) -> list[tuple[str, str]]:
    return [(name, f"{registers[name]:#x}") for name in names if name in registers]


def _config(found: Inspection) -> list[dict[str, Any]]:
    if not found.config:
        return []
    rows = [(name, text if len(text) <= MOST else text[:MOST] + "…") for name, text in _leaves("", found.config)]
    return [{"title": "The guest's config", "columns": [("member", ""), ("value", "detail")], "rows": rows[:2000]}]


def _leaves(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in _leaves(f"{path}.{name}" if path else name, each)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [leaf for at, each in enumerate(value) for leaf in _leaves(f"{path}[{at}]", each)]
    return [(path, json.dumps(value, ensure_ascii=False))]
