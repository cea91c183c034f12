"""Build legacy streams as Xen 4.2 to 4.5 wrote them, in the same order.

There are no files of that time to compare with; Xen's own converter shows that these are right.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pyxl.formats.stream import libxc_v2, libxl_v2, record, xl_header

PAGE = 4096
MARKERS = {
    12: -3, 15: -4, 17: -8, 19: -10, 9: -11, 34: -14, 27: -15, 28: -16, 29: -17, 32: -19, 33: -20,
}  # fmt: skip
VM86_TSS, VM86_TSS_SIZED = 15, 37
UNMAPPED = 0xF000_0000
XL, REMUS, XEND = b"DeviceModelRecord0002", b"RemusDeviceModelState", b"QemuDeviceModelRecord"
#: The HVM context of a guest without vcpus: a header and an end.
CONTEXT = struct.pack("<HHIIIQIIHHI", 1, 0, 24, 0x5438_1286, 1, 0, 0, 0, 0, 0, 0)
#: How the state of upstream qemu begins under Xen, and that of qemu-traditional.
UPSTREAM_STATE = b"QEVM\0\0\0\3\4\0\0\0\0\x130000:00:00.0/I440FX\0\0\0\0\0\0\0\3 and so on"
TRADITIONAL_STATE = b"QEVM\0\0\0\3\4\0\0\0\0\6PCIBUS\0\0\0\0\0\0\0\1 and so on"


@dataclass(frozen=True)
class Batch:
    """Pages by pfn, or by type and pfn: (0xE << 28) | pfn."""

    words: Sequence[int]
    pages: bytes

    def encode(self, word: int) -> bytes:
        letter = "Q" if word == 8 else "I"
        return struct.pack(f"<i{len(self.words)}{letter}", len(self.words), *self.words) + self.pages


def batch(*words: int) -> Batch:
    """Return a batch of pages, each filled with the low byte of its pfn."""
    with_data = [word & 0xFF for word in words if word >> 28 < 0xD]
    return Batch(words, b"".join(bytes([number]) * PAGE for number in with_data))


@dataclass(frozen=True)
class Physmap:
    """A region of the guest's memory that the device model has moved; its name may be empty."""

    offset: int
    start: int
    size: int
    name: str = ""

    def encode(self, word: int) -> bytes:
        name = self.name.encode() + b"\0" if self.name else b""
        return struct.pack("<QQQI", self.offset, self.start, self.size, len(name)) + name + bytes(4 if word == 8 else 0)


@dataclass(frozen=True)
class Guest:
    """What HVM and PV guests share; ``word`` is the size of the writer's long in bytes."""

    word: int = 8
    pfns: int = 0x2000
    tsc: tuple[int, int, int, int] | None = (1, 2 << 40, 3, 4)  # mode, ns, kHz, incarnation
    batches: Sequence[Batch] = (batch(0, 1, 2), batch(3, UNMAPPED, 0xE000_0005, UNMAPPED))
    verify: bool = False  # all pages once more, as a writer in debug mode sends them
    last_vcpu: int = 0
    online: Sequence[int] = (0,)
    physmap: Sequence[Physmap] = ()

    def encode(self) -> bytes:
        """Return the whole stream."""
        raise NotImplementedError

    def long(self, *numbers: int) -> bytes:
        return struct.pack(f"<{len(numbers)}{'Q' if self.word == 8 else 'I'}", *numbers)

    def body(self, params: bytes = b"") -> bytes:
        chunks = b"" if self.tsc is None else struct.pack("<iIQII", -7, *self.tsc)
        pages = b"".join(each.encode(self.word) for each in self.batches)
        chunks += pages + (struct.pack("<i", -1) + pages if self.verify else b"")
        words = [0] * (self.last_vcpu // 64 + 1)
        for number in self.online:
            words[number // 64] |= 1 << number % 64
        chunks += struct.pack(f"<ii{len(words)}Q", -2, self.last_vcpu, *words) + params
        entries = b"".join(each.encode(self.word) for each in self.physmap)
        toolstack = struct.pack("<II", 1, len(self.physmap)) + entries
        chunks += struct.pack("<iI", -18, len(toolstack)) + toolstack
        return chunks + struct.pack("<ii", -9, 0)


@dataclass(frozen=True)
class Hvm(Guest):
    """An HVM guest; ``params`` has Xen's numbers of the HVM params, in the order of the chunks."""

    params: dict[int, int] = field(default_factory=lambda: {34: 0xFC00_0000, 12: 0xFEFF_C000, 17: 0xFEFF8, 19: 1})
    magic: tuple[int, int, int] = (0xFEFFD, 0xFEFFE, 0xFEFFC)
    context: bytes = CONTEXT
    signature: bytes = XL
    state: bytes = UPSTREAM_STATE

    def encode(self) -> bytes:
        params = b"".join(struct.pack("<iIQ", MARKERS[index], 0, value) for index, value in self.params.items())
        tail = struct.pack("<QQQI", *self.magic, len(self.context)) + self.context + self.signature
        tail += b"" if self.signature == XEND else struct.pack("<I", len(self.state))
        return self.long(self.pfns) + self.body(params) + tail + self.state


@dataclass(frozen=True)
class Pv(Guest):
    """A 64-bit or 32-bit PV guest."""

    guest_width: int = 8
    extended: bool = True
    xsave: int = 0  # size of a vcpu's xsave area in bytes
    unmapped: Sequence[int] = ()

    @property
    def frames(self) -> list[int]:
        return list(range(1, 1 - self.pfns // -(PAGE // self.guest_width)))

    def vcpu(self, number: int) -> tuple[bytes, bytes, bytes]:
        fill = bytes([number + 1])
        basic = fill * (0x1430 if self.guest_width == 8 else 0xAF0)
        return basic, b"x" * 128 if self.extended else b"", fill * self.xsave

    def encode(self) -> bytes:
        info = b"vcpu" + struct.pack("<I", len(self.vcpu(0)[0])) + self.vcpu(0)[0]
        info += b"extv" + struct.pack("<I", 0) if self.extended else b""
        info += b"xcnt" + struct.pack("<II", 4, self.xsave + 16) if self.xsave else b""
        head = self.long(self.pfns, (1 << 8 * self.word) - 1) + struct.pack("<I", len(info)) + info
        head += self.long(*self.frames)
        tail = struct.pack("<I", len(self.unmapped)) + self.long(*self.unmapped)
        for number in self.online:
            basic, extended, xsave = self.vcpu(number)
            tail += basic + extended + (struct.pack("<QQ", 7, self.xsave) + xsave if self.xsave else b"")
        return head + self.body() + tail + b"shared info".ljust(PAGE, b"\0")


def file(stream: bytes, config: bytes, is_json: bool = False) -> bytes:
    """Return an xl file of Xen 4.2 to 4.4, or of 4.5 if its config is JSON."""
    config += b"\0" if is_json and config else b""
    block = xl_header.LENGTH.pack(len(config)) + config
    flags = xl_header.FLAG_JSON if is_json else 0
    return xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, flags, 0, len(block)) + block + stream


def rewrite(new: BinaryIO, old: BinaryIO, signature: bytes = XL) -> None:
    """Rewrite an HVM guest's v2 checkpoint as Xen 4.5 would have written it.

    Leaves out what a legacy stream has no chunk for: the CPU policy, and newer HVM params.
    """
    header = xl_header.parse(new.read)
    old.write(file(b"", header.config, header.is_json))
    new.seek(libxl_v2.HEADER.size + record.HEADER.size + libxc_v2.IMAGE.size + libxc_v2.DOMAIN.size, os.SEEK_CUR)
    old.write(struct.pack("<Q", 1 << 20))
    params: dict[int, int] = {}
    context = b""
    while True:
        kind, length = record.read_header(new.read, 0)
        if kind == libxc_v2.PAGE_DATA:
            count, _ = struct.unpack("<II", new.read(8))
            words = [word >> 60 << 28 | word & 0x0FFF_FFFF for word in struct.unpack(f"<{count}Q", new.read(8 * count))]
            pages = new.read(length - 8 - 8 * count)
            if pages:  # an empty batch was not written
                old.write(Batch([UNMAPPED if word >> 28 == 0xF else word for word in words], pages).encode(8))
            continue
        body = new.read(length + record.padding(length))[:length]
        if kind == libxc_v2.X86_TSC_INFO:
            mode, khz, nsec, incarnation, _ = struct.unpack("<IIQII", body)
            old.write(struct.pack("<iIQII", -7, mode, nsec, khz, incarnation))
        elif kind == libxc_v2.HVM_PARAMS:
            params.update(struct.iter_unpack("<QQ", body[8:]))
        elif kind == libxc_v2.HVM_CONTEXT:
            context = body
        elif kind == libxc_v2.END:
            break
    if VM86_TSS_SIZED in params:
        params[VM86_TSS] = params[VM86_TSS_SIZED] & 0xFFFF_FFFF
    old.write(struct.pack("<iiQ", -2, 0, 1))
    for number, marker in MARKERS.items():
        if number in params:
            old.write(struct.pack("<iIQ", marker, 0, params[number]))
    old.write(struct.pack("<ii", -9, 0))
    old.write(struct.pack("<QQQI", *(params.get(number, 0) for number in (5, 6, 1)), len(context)) + context)
    while (head := record.read_header(new.read, 0)) != (libxl_v2.END, 0):
        body = new.read(head[1] + record.padding(head[1]))[: head[1]]
        if head[0] == libxl_v2.EMULATOR_CONTEXT:
            state = body[libxl_v2.EMULATOR.size :]
            old.write(signature + (b"" if signature == XEND else struct.pack("<I", len(state))) + state)


GUESTS: dict[str, Guest] = {
    "hvm 64": Hvm(physmap=[Physmap(0x800_0000, 0xF000_0000, 0x80_0000, "vga.vram")]),
    "hvm 32": Hvm(word=4, physmap=[Physmap(1, 2, 3, "a"), Physmap(4, 5, 6, "bc")]),
    "hvm bare": Hvm(params={}, tsc=None, batches=(), context=b"of an odd length"),
    "hvm verified": Hvm(verify=True, last_vcpu=130, online=(0, 63, 64, 130)),
    "hvm every parameter": Hvm(params={index: index << 32 for index in MARKERS}),
    "pv 64": Pv(xsave=100, last_vcpu=2, online=(0, 2), unmapped=(7, 8), batches=[batch(0x1000_0001, 0x9000_0002, 3)]),
    "pv 64 of 32 bits": Pv(guest_width=4, extended=False),
    "pv 32": Pv(word=4, guest_width=4, unmapped=(9,)),
}


