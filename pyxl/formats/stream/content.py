"""What the body of an element says, as JSON has it: numbers, names, and bit patterns in hexadecimal.

Spec: README.md of this folder.  Knows which codec reads which body; does not know files, or how the result is shown.
"""

from itertools import islice
from typing import Any

from pyxl.errors import BadRecord
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.hvm import params as hvm_params
from pyxl.formats.hvm.context import Value
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2, xl_header
from pyxl.formats.stream.walk import Element

#: More than Xen writes for a guest with the most vcpus that it can have.
MAX_ENTRIES = 4096
#: Bodies that are only counted: pages, and records that mean nothing without them.
_OPAQUE = (libxc_v2.PAGE_DATA, libxc_v2.SHARED_INFO)
_DOMAINS = {libxc_v2.TYPE_PV: "pv", libxc_v2.TYPE_HVM: "hvm"}


def wanted(element: Element) -> int:
    """Return how many bytes of a body ``content`` reads: all, the first ones, or none."""
    if element.layer == "libxl" and element.kind == libxl_v2.EMULATOR_CONTEXT:
        return min(libxl_v2.EMULATOR.size, element.length)
    if element.name in ("CONFIG", "TRAILER") or (element.layer == "libxc" and element.kind in _OPAQUE):
        return 0
    return element.length


def content(element: Element, body: bytes) -> Any:
    """Return what ``wanted`` bytes of the element's body say; None where they say nothing.

    :raise StreamError: they are malformed.
    """
    if not body:
        return None
    match element.layer, element.name:
        case "xl", "HEADER":
            _, _, mandatory, optional, length = xl_header.HEADER.unpack(body)
            return {"mandatory_flags": mandatory, "optional_flags": optional, "optional_length": length}
        case "pyxl", "MARKER":
            _, version, flags = xl_header.MARKER.unpack(body)
            return {"version": version, "flags": flags}
        case "libxl", "HEADER":
            _, version, options = libxl_v2.HEADER.unpack(body)
            return {"version": version, "options": options}
        case "libxl", _:
            return _emulator(element, body)
        case "libxc", "IMAGE_HEADER":
            return {"version": libxc_v2.IMAGE.unpack(body)[2]}
        case "libxc", "DOMAIN_HEADER":
            kind, shift, _, major, minor = libxc_v2.DOMAIN.unpack(body)
            return {"type": _DOMAINS[kind], "page_shift": shift, "xen": f"{major}.{minor}"}
        case "libxc", "HVM_CONTEXT":
            return [_entry(entry) for entry in islice(hvm_context.decode(body, element.body), MAX_ENTRIES)]
    return _libxc(libxc_records.decode(element.kind, body, element.body))


def _emulator(element: Element, body: bytes) -> dict[str, Any]:
    if len(body) < libxl_v2.EMULATOR.size:
        raise BadRecord(f"{element.name} of {len(body)} bytes", element.body)
    number, index = libxl_v2.EMULATOR.unpack_from(body)
    said: dict[str, Any] = {"emulator": libxl_v2.EMULATORS.get(number, str(number)), "index": index}
    if element.kind == libxl_v2.EMULATOR_XENSTORE_DATA:
        texts = body[libxl_v2.EMULATOR.size :].split(b"\0", 2 * MAX_ENTRIES)
        pairs = zip(texts[::2], texts[1 : 2 * MAX_ENTRIES : 2], strict=False)
        said["keys"] = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in pairs}
    return said


def _entry(entry: hvm_context.Entry) -> dict[str, Any]:
    fields = hvm_context.fields(entry)
    return {
        "name": entry.name,
        "type": entry.typecode,
        "instance": entry.instance,
        "offset": entry.offset,
        "size": hvm_context.DESCRIPTOR.size + len(entry.body),
        "fields": {name: _pattern(value) for name, value in fields.items()},
    }


def _libxc(found: libxc_records.Body) -> Any:
    match found:
        case libxc_records.HvmParams(params):
            return {hvm_params.name(index): hex(value) for index, value in params[:MAX_ENTRIES]}
        case libxc_records.CpuidPolicy(leaves):
            return [{name: hex(word) for name, word in leaf._asdict().items()} for leaf in leaves[:MAX_ENTRIES]]
        case libxc_records.MsrPolicy(entries):
            return [{name: hex(word) for name, word in entry._asdict().items()} for entry in entries[:MAX_ENTRIES]]
        case libxc_records.P2mFrames(start, end, frames):
            return {"start": start, "end": end, "frames": len(frames)}
        case libxc_records.VcpuBlob(vcpu, blob):
            return {"vcpu": vcpu, "blob": blob.hex()}
        case libxc_records.DirtyPfns(pfns):
            return {"pfns": len(pfns)}
        case bytes():
            return None
    return found._asdict()


def _pattern(value: Value) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [hex(each) for each in value] if isinstance(value, tuple) else hex(value)
