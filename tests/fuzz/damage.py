"""Damage checkpoints: bits, length fields, record types, counts; pieces lost, doubled and moved."""

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.source import Source
from pyxl.formats import seekable
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2, trailer, walk, xl_header
from pyxl.formats.stream.libxc_records import PageData
from pyxl.formats.stream.walk import Element
from tests.formats.legacy import streams as legacy_streams
from tests.formats.stream import streams
from tests.formats.stream.streams import encoded
from tests.formats.stream.test_streams import Bytes

#: Values for a damaged number, besides random ones.
NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0xFFFF, 1 << 20, 128 << 20, (128 << 20) + 1, 1 << 31, 0x8000_0001, 0xFFFF_FFF8, 0xFFFF_FFFF)
#: A file may grow by this many zeros, so that a false length is within the file.
GROWN = 256 << 20
#: How many pages of a real file stay, and how many pfns without a page; the others are all alike.
_PAGES = 4

#: Legacy guests without pages: damage hits everything else.
_LEGACY = legacy_streams.Hvm(batches=[legacy_streams.batch(0xE000_0001)], physmap=[legacy_streams.Physmap(1, 2, 3, "vga")])
_LEGACY_PV = legacy_streams.Pv(word=4, pfns=512, guest_width=4, xsave=24, batches=[])


class Damaged(NamedTuple):
    """A file's bytes and its length; zeros fill up what is missing."""

    data: bytes
    size: int

    def write_to(self, path: Path) -> None:
        path.write_bytes(self.data[: self.size])
        os.truncate(path, self.size)


def seeds() -> dict[str, bytes]:
    """Return small whole files with every type of record."""
    everything = (
        encoded("X86_CPUID_POLICY", bytes(48)) + encoded("X86_MSR_POLICY", bytes(32)) + streams.STATIC_DATA_END
        + streams.page_data([0, 1]) + streams.ABSENT_PAGE + encoded("X86_TSC_INFO", bytes(24))
        + encoded("HVM_CONTEXT", streams.CONTEXT) + encoded("HVM_PARAMS", struct.pack("<IIQQ", 1, 0, 1, 0xFEFFC))
    )  # fmt: skip
    vcpu = bytes(8)
    pv = (
        encoded("X86_PV_INFO", struct.pack("<BBHI", 8, 4, 0, 0)) + streams.STATIC_DATA_END
        + encoded("X86_PV_P2M_FRAMES", struct.pack("<IIQ", 0, 511, 7)) + streams.page_data([7])
        + encoded("SHARED_INFO", bytes(4096)) + encoded("X86_PV_VCPU_BASIC", vcpu + bytes(5168))
        + encoded("X86_PV_VCPU_EXTENDED", vcpu + bytes(128)) + encoded("X86_PV_VCPU_XSAVE", vcpu + bytes(600))
        + encoded("X86_PV_VCPU_MSRS", vcpu + bytes(16))
    )  # fmt: skip
    hvm = streams.checkpoint(streams.libxc_stream(records=everything))
    keys = libxl_v2.emulator_xenstore_data(2, [("physmap/0/size", "1000")])
    text = xl_header.encode(b"name = 'web1'\n", is_json=False) + hvm[len(streams.xl_s_header()) :]
    of_zstd = streams.summed(streams.checkpoint(streams.libxc_stream(records=everything), marked=True), algorithm=trailer.NONE)
    return {
        "compressed": streams.compressed(of_zstd, 4096),
        "pyxl": streams.summed(streams.checkpoint(streams.libxc_stream(records=everything), marked=True)),
        "pyxl 0.4": streams.old(streams.checkpoint(streams.libxc_stream(records=everything), marked=True)),
        "xl": hvm[:-8] + keys + hvm[-8:],
        "xl.cfg": streams.summed(text),
        "pv": streams.pv_checkpoint(pv),
        "version 2": streams.checkpoint(streams.libxc_stream(2)),
        "legacy": legacy_streams.file(_LEGACY.encode(), streams.CONFIG, is_json=True),
        "legacy pv": legacy_streams.file(_LEGACY_PV.encode(), b"name = 'web1'\n"),
    }


def trimmed(path: Path) -> bytes:
    """Return a real file with the same records but little of its memory, and with new sums if it had some.

    Keeps all occurrences of the pages that came last, and a few pfns without a page.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        source = Source(fd)
        elements = list(walk.elements(source.take, source.skip))
        memory = {each: _words(fd, each) for each in elements if each.title == "libxc PAGE_DATA"}
        kept = _kept(list(memory.values()))
        data = b"".join(
            _with_pages(fd, each, memory[each], kept) if each in memory else os.pread(fd, each.size, each.offset)
            for each in elements
            if each.name != "TRAILER"
        )
        *_, last = elements
        if last.name != "TRAILER":
            return data
        found = trailer.parse(Bytes(os.pread(fd, last.size, last.offset)).take, last.offset)
        return streams.summed(data, found.identity, found.algorithm)
    finally:
        os.close(fd)


def _words(fd: int, element: Element) -> PageData:
    size = libxc_records.page_head_size(os.pread(fd, libxc_records.HEAD.size, element.body), element.length, element.offset)
    return libxc_records.decode_pages(os.pread(fd, size, element.body))


def _kept(memory: list[PageData]) -> set[int]:
    """Return the pfns to keep."""
    pages = [(pfn, at is not None) for each in memory for pfn, _, at in each.pages()]
    with_page = [pfn for pfn, has_page in pages if has_page]
    without = [pfn for pfn, has_page in pages if not has_page]
    return {*with_page[-_PAGES:], *without[-_PAGES:]}


def _with_pages(fd: int, element: Element, memory: PageData, kept: set[int]) -> bytes:
    """Return a PAGE_DATA record with the pages to keep; empty if it has none of them."""
    left = [(word, at) for word, (pfn, _, at) in zip(memory.words, memory.pages(), strict=True) if pfn in kept]
    if not left:
        return b""
    head = libxc_records.encode_page_head(PageData(tuple(word for word, _ in left), memory.reserved))
    return head + b"".join(os.pread(fd, streams.PAGE, element.body + at) for _, at in left if at is not None)


def damaged(draw: random.Random, data: bytes) -> Damaged:
    """Return the file with damage."""
    elements = _elements(data)
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        draw.choice(_WAYS)(draw, spoilt, draw.choice(elements))
    grown = draw.random() < 0.1
    return Damaged(bytes(spoilt), len(spoilt) + (draw.randrange(GROWN) if grown else 0))


def _elements(data: bytes) -> list[Element]:
    """Return the elements of a file; a legacy stream, a manifest or its runs have none: any four bytes may be a head.

    Of a compressed one, and of a pack, every entry of its seek table may be damaged like a head, and all else as if it had none.
    """
    if data.startswith(seekable.MAGIC):
        return [Element("zstd", walk.NO_RECORD, "", at, 8, at + 4, 4) for at in range(max(len(data) - 100, 0), len(data) - 8)]
    if not data.startswith(xl_header.MAGIC):
        return [Element("", walk.NO_RECORD, "", at, 8, at + 4, 4) for at in range(0, len(data) - 8, 4)]
    source = Bytes(data)
    header = xl_header.parse(source.take)
    if header.is_v2:
        source.offset = 0
        return list(walk.elements(source.take, source.skip))
    return [Element("legacy", walk.NO_RECORD, "", at, 8, at + 4, 4) for at in range(header.size, len(data) - 8, 4)]


def _flip(draw: random.Random, data: bytearray, element: Element) -> None:
    if data:
        bit = draw.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8


def _flip_in_head(draw: random.Random, data: bytearray, element: Element) -> None:
    at = element.offset + draw.randrange(24)
    if at < len(data):
        data[at] ^= 1 << draw.randrange(8)


def _set(data: bytearray, at: int, number: int) -> None:
    if at + 4 <= len(data):
        struct.pack_into("<I", data, at, number)


def _number(draw: random.Random) -> int:
    return draw.choice((draw.choice(NUMBERS), draw.getrandbits(32), draw.randrange(1 << 16)))


def _type(draw: random.Random, data: bytearray, element: Element) -> None:
    _set(data, element.offset, draw.choice((draw.choice(list(libxc_v2.NAMES)), _number(draw))))


def _length(draw: random.Random, data: bytearray, element: Element) -> None:
    _set(data, element.offset + 4, draw.choice((_number(draw), element.length + draw.randrange(-16, 17) & 0xFFFF_FFFF)))


def _count(draw: random.Random, data: bytearray, element: Element) -> None:
    _set(data, element.body + draw.choice((0, 4)), _number(draw))


def _word(draw: random.Random, data: bytearray, element: Element) -> None:
    _set(data, 4 * draw.randrange(len(data) // 4 + 1), _number(draw))


def _cut(draw: random.Random, data: bytearray, element: Element) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _lose(draw: random.Random, data: bytearray, element: Element) -> None:
    del data[element.offset : element.end]


def _double(draw: random.Random, data: bytearray, element: Element) -> None:
    data[element.end : element.end] = data[element.offset : element.end]


def _move(draw: random.Random, data: bytearray, element: Element) -> None:
    piece = data[element.offset : element.end]
    _lose(draw, data, element)
    at = draw.randrange(len(data) // 8 + 1) * 8
    data[at:at] = piece


def _insert(draw: random.Random, data: bytearray, element: Element) -> None:
    data[element.offset : element.offset] = draw.randbytes(draw.choice((1, 8, 64)))


_WAYS: tuple[Callable[[random.Random, bytearray, Element], None], ...] = (
    _flip, _flip_in_head, _flip_in_head, _type, _length, _length, _count, _count, _word, _cut, _lose, _double, _move, _insert,
)  # fmt: skip
