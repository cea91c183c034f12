"""Build small whole checkpoints; real ones come from the lab."""

import struct
from collections.abc import Mapping

from pyxl.checkpoint.sums import RunningSums
from pyxl.checkpoint.zstd import Compressor
from pyxl.formats import seekable
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.hvm.context import Entry, Value
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2, record, trailer, xl_header

CONFIG = b'{"c_info": {"type": "hvm", "name": "web1", "uuid": "6b1d9b2e-0000-4000-8000-000000000001"},\n "b_info": {}}\n'
PAGE = 4096
#: An HVM context with nothing but its header and end.
CONTEXT = struct.pack("<HHI2IQ2I", 1, 0, 24, 0x54381286, 1, 0, 0x906EA, 2_400_000) + struct.pack("<HHI", 0, 0, 0)
STATIC_DATA_END = record.encode(0x10)
ABSENT_PAGE = record.encode(0x01, struct.pack("<IIQ", 1, 0, 0xF << 60))
#: The least that a stream of version 3 needs; it has no page.
SMALLEST = STATIC_DATA_END + ABSENT_PAGE + record.encode(0x09, CONTEXT)


def page_data(pfns: list[int]) -> bytes:
    body = struct.pack("<II", len(pfns), 0) + b"".join(struct.pack("<Q", pfn) for pfn in pfns)
    return record.encode(0x01, body + b"".join(bytes([pfn & 0xFF]) * PAGE for pfn in pfns))


def encoded(name: str, body: bytes = b"") -> bytes:
    """Return a libxc record of the type with this name."""
    return record.encode(next(kind for kind, known in libxc_v2.NAMES.items() if known == name), body)


def libxc_stream(
    version: int = 3, records: bytes | None = None, guest: int = libxc_v2.TYPE_HVM, saver: tuple[int, int] = (4, 17)
) -> bytes:
    image = libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, version, 0, 0, 0)
    domain = libxc_v2.DOMAIN.pack(guest, libxc_v2.PAGE_SHIFT, 0, *saver)
    if records is None:
        records = (STATIC_DATA_END if version > 2 else b"") + page_data([0, 1, 2]) + record.encode(0x09, CONTEXT)
    return image + domain + records + record.encode(libxc_v2.END)


def xl_s_header(config: bytes = CONFIG) -> bytes:
    block = struct.pack("<I", len(config) + 1) + config + b"\0"
    return xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, xl_header.KNOWN_FLAGS, 0, len(block)) + block


def checkpoint(libxc: bytes | None = None, state: bytes = b"QEVM device state", marked: bool = False) -> bytes:
    """Return a file as xl writes it, or with ``marked`` as pyxl does, up to the trailer."""
    return (
        (xl_header.encode(CONFIG) if marked else xl_s_header())
        + libxl_v2.start()
        + (libxc_stream() if libxc is None else libxc)
        + libxl_v2.emulator_context(libxl_v2.EMULATOR_QEMU_UPSTREAM, state)
        + libxl_v2.end()
    )


def pv_checkpoint(records: bytes) -> bytes:
    """Return xl's file of a PV guest without a device model."""
    return xl_s_header() + libxl_v2.start() + libxc_stream(3, records, libxc_v2.TYPE_PV) + libxl_v2.end()


def summed(data: bytes, identity: trailer.Identity | None = None, algorithm: int = trailer.XXH64) -> bytes:
    """Return the file with its trailer; that without sums is what `zstd -d` makes of a compressed one."""
    sums = RunningSums(trailer.XXH64, trailer.XXH3_64)
    sums.add(data)
    found = sums.all(algorithm) if algorithm else []
    return data + trailer.encode(trailer.Trailer(len(data), found, identity or trailer.Identity(name="web1"), algorithm))


def old(data: bytes) -> bytes:
    """Return a marked file as pyxl wrote it up to 0.4: with XXH3."""
    marker = xl_header.MARKER_MAGIC + struct.pack("<I", xl_header.MARKER_VERSION)
    return summed(data.replace(marker + b"\3", marker + b"\1", 1), algorithm=trailer.XXH3_64)


def compressed(data: bytes, most: int = 2 << 20) -> bytes:
    """Return a file of frames that hold ``data``, ``most`` bytes each."""
    compressor = Compressor(1, most)
    frames = [(bytes(compressor.frame(part)), len(part)) for at in range(0, len(data), most) for part in [data[at : at + most]]]
    return b"".join(frame for frame, _ in frames) + seekable.encode((len(frame), size) for frame, size in frames)


def context_entry(typecode: int, instance: int, **values: Value) -> Entry:
    """Return an entry of the HVM context that is 0 except for these fields."""
    zero = Entry(0, typecode, instance, bytes(hvm_context.LAYOUTS[typecode].size))
    return zero._replace(body=hvm_context.pack(typecode, {**hvm_context.fields(zero), **values}))


def context(vcpus: int = 1) -> bytes:
    """Return an HVM context; vcpu N is at rip 0x1000 + N."""
    each = range(vcpus)
    header = context_entry(hvm_context.HEADER, 0, magic=hvm_context.MAGIC, version=1, gtsc_khz=2_600_000)
    cpus = [context_entry(hvm_context.CPU, vcpu, rip=0x1000 + vcpu, rsp=0x2000 + vcpu, cr0=1) for vcpu in each]
    lapics = [context_entry(hvm_context.LAPIC, vcpu) for vcpu in each]
    return hvm_context.encode([header, *cpus, *lapics, context_entry(hvm_context.END, 0)])


def memory(pages: Mapping[int, bytes | None]) -> bytes:
    """Return a PAGE_DATA record with these gfns; None is a gfn without a page."""
    words = tuple(gfn | (libxc_records.XTAB if page is None else 0) << 60 for gfn, page in pages.items())
    head = libxc_records.encode_page_head(libxc_records.PageData(words))
    return head + b"".join(page for page in pages.values() if page is not None)


def guest(*records: bytes, vcpus: int = 1) -> bytes:
    """Return xl's file of an HVM guest with these memory records."""
    tail = libxc_records.encode(libxc_v2.X86_TSC_INFO, libxc_records.TscInfo(0, 2_600_000, 0, 1))
    tail += record.encode(libxc_v2.HVM_CONTEXT, context(vcpus))
    tail += libxc_records.encode(libxc_v2.HVM_PARAMS, libxc_records.HvmParams(((1, 0xFEFFC), (17, 0xFEFFF))))
    return checkpoint(libxc_stream(records=record.encode(0x10) + b"".join(records) + tail))
