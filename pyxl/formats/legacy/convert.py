"""A legacy stream as a v2 stream, in one pass and in constant memory.

Spec: README.md of this folder.  Knows what each legacy item becomes; does not know files, configs, or xl's header.
"""

from collections.abc import Iterator

from pyxl.errors import UnsupportedStream
from pyxl.formats.legacy import items
from pyxl.formats.legacy.v1 import read
from pyxl.formats.stream import libxc_records as records
from pyxl.formats.stream import libxc_v2, libxl_v2, record

#: In place of Xen's version a converted stream has major 0, and the converter's own version.
CONVERTED = (0, 1)
#: HVM parameters of the tail.
IOREQ_PFN, BUFIOREQ_PFN, STORE_PFN = 5, 6, 1
#: A device state that holds no device: qemu's magic, its version, the end.
POWER_ON = b"QEVM\0\0\0\3\0"
#: Upstream qemu names devices by their place on the PCI bus; qemu-traditional never does.
PCI_NAME = b"0000:00:"


def convert(source: items.Input, skip_device_state: bool) -> Iterator[bytes | memoryview]:
    """Yield a libxl v2 stream in pieces; ``source`` is at the first byte of the legacy one.

    A piece is valid until the next one is asked for.  ``skip_device_state`` makes an HVM guest's devices start as after
    power-on.

    :raise StreamError: the stream is bad, or its device state is one that no current qemu can load.
    """
    params: list[tuple[int, int]] = []
    keys: list[tuple[str, str]] = []
    for item in read(source):
        match item:
            case items.Head(_, _, is_pv):
                yield _start(is_pv)
            case items.PvInfo(_, width, levels):
                info = records.encode(libxc_v2.X86_PV_INFO, records.PvInfo(width, levels))
                yield info + record.encode(libxc_v2.STATIC_DATA_END)
            case items.P2mFrames(last, frames):
                yield from _record(libxc_v2.X86_PV_P2M_FRAMES, records.HEAD.pack(0, last), frames)
            case items.Batch(_, pfns, pages):
                yield records.encode_page_head(records.PageData(_words(pfns)))
                yield pages
            case items.TscInfo(mode, nsec, khz, incarnation):
                yield records.encode(libxc_v2.X86_TSC_INFO, records.TscInfo(mode, khz, nsec, incarnation))
            case items.HvmParam(number, value):
                params.append((number, value))
            case items.Physmap(pairs):
                keys += pairs
            case items.HvmTail(ioreq, bufioreq, store, context):
                if params:
                    yield records.encode(libxc_v2.HVM_PARAMS, records.HvmParams(tuple(params)))
                magic = (IOREQ_PFN, ioreq), (BUFIOREQ_PFN, bufioreq), (STORE_PFN, store)
                yield records.encode(libxc_v2.HVM_PARAMS, records.HvmParams(magic))
                yield from _record(libxc_v2.HVM_CONTEXT, b"", context)
                yield record.encode(libxc_v2.END)
            case items.Vcpu(vcpu, basic, extended, xsave):
                yield _vcpu(vcpu, basic, extended, xsave)
            case items.SharedInfo(page):
                yield record.encode(libxc_v2.SHARED_INFO, page) + record.encode(libxc_v2.END)
            case items.DeviceState(offset, _, state):
                if skip_device_state:
                    state = POWER_ON  # there has to be one: libxl makes qemu load it without a check
                elif PCI_NAME not in state:
                    raise traditional(offset)
                elif keys:
                    yield libxl_v2.emulator_xenstore_data(libxl_v2.EMULATOR_UNKNOWN, keys)
                head = libxl_v2.EMULATOR.pack(libxl_v2.EMULATOR_UNKNOWN, 0)
                yield from _record(libxl_v2.EMULATOR_CONTEXT, head, state)
    yield libxl_v2.end()


def traditional(offset: int) -> UnsupportedStream:
    """Return the error for a device state of qemu-traditional."""
    return UnsupportedStream(
        "the device state is qemu-traditional's, which no current qemu can load", offset,
        "`--skip-device-state` starts the devices afresh: pyxl/formats/legacy/README.md says what that means.",
    )  # fmt: skip


def _start(is_pv: bool) -> bytes:
    """Return the headers; for an HVM guest also STATIC_DATA_END, which follows a PV guest's own info later."""
    libxl = libxl_v2.HEADER.pack(libxl_v2.IDENT, libxl_v2.VERSION, libxl_v2.OPTION_LEGACY)
    image = libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, libxc_v2.VERSIONS[-1], 0, 0, 0)
    kind = libxc_v2.TYPE_PV if is_pv else libxc_v2.TYPE_HVM
    domain = libxc_v2.DOMAIN.pack(kind, libxc_v2.PAGE_SHIFT, 0, *CONVERTED)
    start = libxl + record.encode(libxl_v2.LIBXC_CONTEXT) + image + domain
    return start if is_pv else start + record.encode(libxc_v2.STATIC_DATA_END)


def _record(kind: int, head: bytes, body: bytes) -> Iterator[bytes]:
    """Yield a record in pieces, without copying its body."""
    length = len(head) + len(body)
    yield record.HEADER.pack(kind, length) + head
    yield body
    yield bytes(record.padding(length))


def _words(pfns: tuple[int, ...]) -> tuple[int, ...]:
    """Return the page words of a v2 stream: types move to the top bits."""
    if max(pfns) >> 28:
        return tuple((pfn & 0xF000_0000) << 32 | pfn & 0x0FFF_FFFF for pfn in pfns)
    return pfns


def _vcpu(number: int, basic: bytes, extended: bytes, xsave: bytes) -> bytes:
    parts = (
        (libxc_v2.X86_PV_VCPU_BASIC, basic),
        (libxc_v2.X86_PV_VCPU_EXTENDED, extended),
        (libxc_v2.X86_PV_VCPU_XSAVE, xsave),
    )
    return b"".join(records.encode(kind, records.VcpuBlob(number, blob)) for kind, blob in parts if blob)
