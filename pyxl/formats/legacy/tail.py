"""The end of a legacy stream: a guest's vcpus and the device model's state; and libxl's physmap.

Spec: README.md of this folder.  Knows bytes; does not know which device model wrote the state, or whether one takes it.
"""

import struct
from collections.abc import Iterator

from pyxl.errors import UnsupportedStream
from pyxl.formats.legacy import items

#: Signatures of the device model's state: its length follows, or it reaches to the end of the file.
XL, REMUS, XEND = b"DeviceModelRecord0002", b"RemusDeviceModelState", b"QemuDeviceModelRecord"
QEMU_MAGIC = b"QEVM"
EXTENDED_SIZE = 128
MAX_UNMAPPED = 1 << 28
#: A vcpu's XSAVE area is some 11 KiB at most.
MAX_XSAVE = 1 << 20
#: A guest has some four moved pieces of memory; each makes three keys here.
MAX_PHYSMAP = 64 << 10
PHYSMAP = struct.Struct("<QQQI")  # offset in the device model's memory, start in the guest's, size, length of the name


def hvm(stream: items.Stream) -> Iterator[items.Item]:
    """Yield the magic pages with the HVM context, and the device model's state."""
    stream.begin("HVM tail")
    ioreq, bufioreq, store, length = stream.numbers("QQQI")
    yield items.HvmTail(ioreq, bufioreq, store, stream.blob(length))
    yield _device_state(stream)


def pv(stream: items.Stream, info: items.PvInfo, vcpus: list[int]) -> Iterator[items.Item]:
    """Yield the vcpus that are online, and the shared info page."""
    stream.begin("unmapped pages")
    # Their numbers are not needed: pages that are not mapped were not sent.
    unmapped = stream.number("I")
    if unmapped > MAX_UNMAPPED:
        raise stream.bad(f"{unmapped} of them")
    stream.input.skip(unmapped * stream.word)
    for number in vcpus:
        stream.begin(f"vcpu {number}")
        basic = stream.input.take(info.context_size)
        extended = stream.input.take(EXTENDED_SIZE) if info.has_extended else b""
        yield items.Vcpu(number, basic, extended, _xsave(stream, info.xsave_size) if info.xsave_size else b"")
    stream.begin("shared info")
    yield items.SharedInfo(stream.input.take(items.PAGE))


def physmap(stream: items.Stream, length: int) -> list[tuple[str, str]]:
    """Return the keys that a TOOLSTACK chunk of ``length`` bytes holds.

    On 64 bits its structures are four bytes longer than their fields; these bytes follow each name.
    """
    if length > MAX_PHYSMAP:
        raise stream.bad(f"claims {length} bytes")
    data = stream.input.take(length)
    if not data:
        return []
    if length < 8:
        raise stream.bad(f"{length} bytes")
    version, count = struct.unpack_from("<II", data)
    if version != 1:
        raise UnsupportedStream(f"TOOLSTACK: version {version}", stream.start)
    pairs, at = [], 8
    for _ in range(count):
        if length - at < PHYSMAP.size:
            raise stream.bad(f"too short for {count} entries")
        offset, start, size, name_length = PHYSMAP.unpack_from(data, at)
        at += PHYSMAP.size
        name = data[at : at + name_length]
        at += name_length + (4 if stream.word == 8 else 0)
        if at > length or (name and (name.find(b"\0") != name_length - 1 or not name.isascii())):
            raise stream.bad("a name that does not end, or is none")
        root = f"physmap/{offset:x}"
        pairs += [(f"{root}/start_addr", f"{start:x}"), (f"{root}/size", f"{size:x}")]
        if name:
            pairs.append((f"{root}/name", name[:-1].decode()))
    return pairs


def _xsave(stream: items.Stream, size: int) -> bytes:
    _, length = stream.numbers("QQ")
    if length != size - 16 or length > MAX_XSAVE:
        raise stream.bad(f"xsave area of {length} bytes, {size} with its head were announced")
    return stream.input.take(length)


def _device_state(stream: items.Stream) -> items.DeviceState:
    stream.begin("device state")
    signature = stream.input.take(len(XL))
    if signature in (XL, REMUS):
        state = stream.blob(stream.number("I"))
    elif signature == XEND:
        state = stream.input.rest(items.MAX_BLOB + 1)
        if len(state) > items.MAX_BLOB:
            raise stream.bad(f"more than {items.MAX_BLOB} bytes")
    else:
        raise stream.bad(f"signature {signature!r}")
    if not state.startswith(QEMU_MAGIC):
        raise stream.bad("not qemu's")
    return items.DeviceState(stream.start, signature, state)
