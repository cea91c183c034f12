"""An inspection as lines for a person: which guest the checkpoint holds, then its records as a tree."""

import json
from collections.abc import Iterator

from pyxl.cli.words import compressed, printable, size
from pyxl.files.inspect import Inspection

PAGE_KIB = 4


def lines(found: Inspection, zeros: int | None) -> Iterator[str]:
    """Yield the lines; nothing in them commands a terminal."""
    for name, said in facts(found, zeros):
        yield f"{name:9} {printable(said)}"
    for error in found.errors:
        yield f"{'':9} {printable(error)}"
    yield ""
    yield f"{'offset':>12} {'size':>12}  record"
    for record in found.records:
        times = f" x{record.records}" if record.records > 1 else ""
        indent = "  " if record.layer == "libxc" else ""
        said = record.content
        pages = f"  {said['pages']} pages, {said['without_data']} pfns without" if record.name == "PAGE_DATA" else ""
        yield f"{record.offset:12} {record.size:12}  {indent}{record.layer} {record.name}{times}{pages}"
    if found.left_out:
        yield f"{'':27}… and {found.left_out} records more"


def facts(found: Inspection, zeros: int | None) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of what a person wants to know first; ``zeros`` is None if they were not counted."""
    guest, saved = found.guest, found.saved
    if found.legacy:
        yield "legacy", found.legacy
    yield "name", "unknown" if guest.name is None else json.dumps(guest.name, ensure_ascii=False)
    yield "uuid", guest.uuid or "none"
    yield "type", guest.type or "unknown"
    yield "memory", _memory(found, zeros)
    yield "vcpus", str(guest.vcpus or "unknown")
    if saved.saved:
        when = saved.saved.replace("T", " ").replace("Z", " UTC")
        yield "saved", f"{when} on {saved.host} by pyxl {saved.pyxl}"
    else:
        yield "saved", "the file does not say when or where"
    versions = [f"{what} {version}" for what, version in (("Xen", saved.xen), ("qemu", saved.qemu)) if version]
    yield "on", ", ".join(versions) or "unknown"
    yield "size", f"{size(found.size)} ({found.size} bytes)" + compressed(found.size, found.stored)
    if found.errors:
        yield "whole", f"no: right up to byte {found.end}"
    elif found.checksums:
        yield "whole", "its framing is; it has checksums, which `pyxl verify` compares"
    else:
        yield "whole", "its framing is; it has no checksums to say more"


def _memory(found: Inspection, zeros: int | None) -> str:
    said = f"{size(1024 * PAGE_KIB * found.pages)} in {found.pages} pages"
    if zeros is not None:
        said += f", {zeros} of them zero"
    if found.guest.memory_kib:
        said = f"{size(1024 * found.guest.memory_kib)}; saved {said}"
    return said
