"""The legacy stream of Xen 4.2 to 4.5: its head, and the chunks of memory and settings up to the tail.

Spec: README.md of this folder.  Knows bytes; does not know the v2 streams, nor the xl header before it.
"""

import struct
from collections.abc import Iterator

from pyxl.errors import BadHeader, TruncatedStream, UnsupportedStream
from pyxl.formats.legacy import items, tail

END = 0
MAX_BATCH = 1024
#: Page numbers have 28 bits in this stream: a guest of 1 TiB.
MAX_PFNS = 1 << 28
MAX_VCPU_ID = 4095
MAX_EXTENDED_INFO = 64 << 10
#: Bytes of a vcpu's context -> the guest's word in bytes, and levels of its page tables.
CONTEXTS = {0x1430: (8, 4), 0xAF0: (4, 3)}
#: A page that the saver could not map: it has no number.
UNMAPPED = 0xF000_0000
#: From this type on there is no page data: broken, to be allocated only, absent.
WITHOUT_DATA = 0xD
TYPES = frozenset((0, 1, 2, 3, 4, 9, 0xA, 0xB, 0xC, 0xD, 0xE, 0xF))

VERIFY, VCPU_INFO, TSC_INFO, LAST_CHECKPOINT, TOOLSTACK = -1, -2, -7, -9, -18
#: Chunks that hold one HVM parameter -> its number and name.
HVM_PARAMS = {
    -3: (12, "IDENT_PT"), -4: (15, "VM86_TSS"), -8: (17, "CONSOLE_PFN"), -10: (19, "ACPI_IOPORTS_LOCATION"),
    -11: (9, "VIRIDIAN"), -14: (34, "VM_GENERATION_ID_ADDR"), -15: (27, "PAGING_RING_PFN"),
    -16: (28, "MONITOR_RING_PFN"), -17: (29, "SHARING_RING_PFN"), -19: (32, "IOREQ_SERVER_PFN"),
    -20: (33, "NR_IOREQ_SERVER_PAGES"),
}  # fmt: skip
UNREADABLE = {
    -5: "TMEM: memory outside of the guest, which no current Xen has",
    -6: "TMEM_EXTRA: memory outside of the guest, which no current Xen has",
    -12: "COMPRESSED_DATA: pages as Remus sends them",
    -13: "ENABLE_COMPRESSION: pages as Remus sends them",
}


def read(source: items.Input) -> Iterator[items.Item]:
    """Yield all items of a stream in order, leaving what follows it unread.

    ``source`` is at the stream's first byte.  A batch's pages are valid until the next item is asked for.

    :raise StreamError: the stream ends early, or is malformed.
    """
    stream = items.Stream(source)
    try:
        yield from _items(stream)
    except TruncatedStream as error:
        raise TruncatedStream(f"{stream.record}: the file ends within it", error.offset) from error


def _items(stream: items.Stream) -> Iterator[items.Item]:
    head, marker = _head(stream)
    yield head
    pv = None
    if head.is_pv:
        yield (pv := _extended_info(stream))
        yield _p2m_frames(stream, head, pv)
        stream.begin("a chunk")
        marker = stream.number("i")
    vcpus = [0]  # libxc's default, before a chunk says otherwise
    while marker != END:
        stream.begin(f"chunk {marker}", back=4)
        if marker > 0:
            if (batch := _batch(stream, marker)).pfns:
                yield batch
        elif marker == VCPU_INFO:
            vcpus = _vcpus(stream)
        elif marker == TSC_INFO:
            stream.record = "TSC_INFO"
            yield items.TscInfo(*stream.numbers("IQII"))
        elif marker == TOOLSTACK:
            stream.record = "TOOLSTACK"
            yield items.Physmap(tail.physmap(stream, stream.number("I")))
        elif marker in HVM_PARAMS:
            yield _hvm_param(stream, marker, head.is_pv)
        elif marker in UNREADABLE:
            raise UnsupportedStream(UNREADABLE[marker], stream.start)
        elif marker not in (VERIFY, LAST_CHECKPOINT):  # verified pages come as pages once more
            raise stream.bad("unknown")
        stream.begin("a chunk")
        marker = stream.number("i")
    yield from tail.hvm(stream) if pv is None else tail.pv(stream, pv, vcpus)


def _head(stream: items.Stream) -> tuple[items.Head, int]:
    """Return the head, and the first chunk's marker unless there is extended info, which only a PV guest has.

    The stream does not name its word size: of a 64-bit number with fewer pages than 2^32 the upper half is zero, while
    a marker or ~0 follows a 32-bit one.
    """
    stream.begin(stream.record)
    low, high = stream.numbers("Ii")
    stream.word = 4 if high else 8
    marker = high or stream.number("i")
    # -1 would begin the second sending of pages, but none was sent yet.
    is_pv = marker == -1
    if is_pv and stream.word == 8 and stream.number("i") != -1:
        raise BadHeader("extended info without its signature", stream.start + 8)
    if not 0 < low <= MAX_PFNS:
        raise BadHeader(f"no legacy stream: {low} pages", stream.start)
    return items.Head(stream.word, low, is_pv), marker


def _extended_info(stream: items.Stream) -> items.PvInfo:
    stream.begin("extended info")
    left = stream.number("I")
    if left > MAX_EXTENDED_INFO:
        raise stream.bad(f"claims {left} bytes")
    context_size = xsave_size = 0
    has_extended = False
    while left:
        name, length = stream.input.take(4), stream.number("I")
        left -= 8 + length
        if left < 0:
            raise stream.bad("a block reaches beyond its end")
        body = stream.input.take(length)
        if name == b"vcpu":
            context_size = length
        elif name == b"extv":
            has_extended = True
        elif name == b"xcnt" and length >= 4:
            (xsave_size,) = struct.unpack_from("<I", body)
        else:
            raise stream.bad(f"block {name!r} of {length} bytes")
    if context_size not in CONTEXTS:
        raise stream.bad(f"vcpus of {context_size} bytes")
    return items.PvInfo(context_size, *CONTEXTS[context_size], has_extended, xsave_size)


def _p2m_frames(stream: items.Stream, head: items.Head, pv: items.PvInfo) -> items.P2mFrames:
    stream.begin("p2m frames")
    count = -(-head.pfns // (items.PAGE // pv.guest_width))
    if head.word == 8:
        return items.P2mFrames(head.pfns - 1, stream.blob(8 * count))
    return items.P2mFrames(head.pfns - 1, struct.pack(f"<{count}Q", *stream.longs(count)))


def _batch(stream: items.Stream, count: int) -> items.Batch:
    stream.record = "page batch"
    if count > MAX_BATCH:
        raise stream.bad(f"{count} pages")
    pfns = stream.longs(count)
    with_data = count
    if max(pfns) >> 28:  # rare: in most batches all pages are plain
        pfns = tuple(pfn for pfn in pfns if pfn != UNMAPPED)
        if wrong := {pfn >> 28 for pfn in pfns} - TYPES:
            raise stream.bad(f"page type {min(wrong):#x}")
        with_data = sum(pfn < WITHOUT_DATA << 28 for pfn in pfns)
    if len(set(pfns)) != len(pfns):
        raise stream.bad("a page twice")
    return items.Batch(stream.start, pfns, stream.input.pages(items.PAGE * with_data))


def _vcpus(stream: items.Stream) -> list[int]:
    """Return the numbers of the vcpus that are online."""
    stream.record = "VCPU_INFO"
    last = stream.number("i")
    if not 0 <= last <= MAX_VCPU_ID:
        raise stream.bad(f"last vcpu {last}")
    words = stream.numbers(f"{last // 64 + 1}Q")
    return [number for number in range(last + 1) if words[number // 64] >> number % 64 & 1]


def _hvm_param(stream: items.Stream, marker: int, is_pv: bool) -> items.HvmParam:
    index, name = HVM_PARAMS[marker]
    stream.record = f"HVM_{name}"
    if is_pv:
        raise stream.bad("in a PV guest")
    _, value = stream.numbers("IQ")
    return items.HvmParam(index, value)
