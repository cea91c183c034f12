"""Legacy streams: round trips; every cut is found; an impossible value is refused before it costs memory."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.errors import BadRecord, StreamError, TruncatedStream, UnsupportedStream
from pyxl.formats.legacy import items, v1
from tests.formats.legacy import streams as made
from tests.formats.legacy.streams import Guest, Hvm, Pv, batch
from tests.formats.stream.test_streams import Bytes

SMALL_PV = Pv(pfns=512, guest_width=4, xsave=24, batches=())


class Memory(Bytes):
    """A legacy stream in memory."""

    def pages(self, length: int) -> memoryview:
        return memoryview(self.take(length))

    def rest(self, most: int) -> bytes:
        return self.take(min(most, len(self.data) - self.offset))


def read(data: bytes) -> list[items.Item]:
    """Return the items of a stream; their pages stay valid, unlike those of a real source."""
    return list(v1.read(Memory(data)))


words = st.sampled_from([4, 8])
pfns = st.integers(1, 1 << 28)
numbers32, numbers64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
types = st.sampled_from(sorted(v1.TYPES))
page_words = st.lists(st.builds(lambda kind, pfn: kind << 28 | pfn, types, st.integers(1, 1 << 20)), min_size=1, max_size=9, unique=True)
batches = st.lists(page_words.map(lambda each: batch(*each)), max_size=3)
names = st.text("abcdefghijklmnopqrstuvwxyz.-0123456789", max_size=9)
physmaps = st.lists(st.builds(made.Physmap, numbers64, numbers64, numbers64, names), max_size=4)
onlines = st.lists(st.integers(0, 200), unique=True).map(sorted)
tscs = st.none() | st.tuples(numbers32, numbers64, numbers32, numbers32)
common = {
    "word": words, "tsc": tscs, "batches": batches, "verify": st.booleans(), "last_vcpu": st.just(200), "physmap": physmaps,
}  # fmt: skip
hvms = st.builds(
    Hvm, **common, pfns=pfns, online=onlines, params=st.dictionaries(st.sampled_from(list(made.MARKERS)), numbers64),
    magic=st.tuples(numbers64, numbers64, numbers64), context=st.binary(max_size=99),
    signature=st.sampled_from([made.XL, made.REMUS, made.XEND]), state=st.binary(max_size=99).map(lambda rest: b"QEVM" + rest),
)  # fmt: skip
pvs = st.builds(
    Pv, **common, pfns=st.integers(1, 1 << 20), online=onlines.map(lambda each: each[:3]), guest_width=words,
    extended=st.booleans(), xsave=st.integers(0, 99), unmapped=st.lists(numbers32, max_size=9),
)  # fmt: skip


def body(guest: Guest) -> list[items.Item]:
    """Return the items that a guest's chunks are read as, without the offsets of batches."""
    pages = [tuple(word for word in each.words if word != made.UNMAPPED) for each in guest.batches]
    found: list[items.Item] = [items.Batch(0, *each) for each in zip(pages, (memoryview(b.pages) for b in guest.batches), strict=True)]
    tsc = [] if guest.tsc is None else [items.TscInfo(*guest.tsc)]
    pairs = []
    for piece in guest.physmap:
        root = f"physmap/{piece.offset:x}"
        pairs += [(f"{root}/start_addr", f"{piece.start:x}"), (f"{root}/size", f"{piece.size:x}")]
        pairs += [(f"{root}/name", piece.name)] if piece.name else []
    params = [items.HvmParam(*each) for each in guest.params.items()] if isinstance(guest, Hvm) else []
    return [*tsc, *found, *(found if guest.verify else []), *params, items.Physmap(pairs)]


def without_offsets(found: list[items.Item]) -> list[items.Item]:
    return [item._replace(offset=0) if isinstance(item, items.Batch | items.DeviceState) else item for item in found]


# An HVM stream never begins with the marker for pages once more: a PV stream begins like that.
@given(hvms.filter(lambda guest: guest.tsc or guest.batches or not guest.verify))
def test_an_hvm_guest_comes_back(guest: Hvm) -> None:
    tail = [items.HvmTail(*guest.magic, guest.context), items.DeviceState(0, guest.signature, guest.state)]
    assert without_offsets(read(guest.encode())) == [items.Head(guest.word, guest.pfns, False), *body(guest), *tail]


@given(pvs)
def test_a_pv_guest_comes_back(guest: Pv) -> None:
    size, levels = (0x1430, 4) if guest.guest_width == 8 else (0xAF0, 3)
    info = items.PvInfo(size, guest.guest_width, levels, guest.extended, guest.xsave + 16 if guest.xsave else 0)
    frames = items.P2mFrames(guest.pfns - 1, struct.pack(f"<{len(guest.frames)}Q", *guest.frames))
    vcpus = [items.Vcpu(number, *guest.vcpu(number)) for number in guest.online]
    tail = [*vcpus, items.SharedInfo(b"shared info".ljust(4096, b"\0"))]
    head = items.Head(guest.word, guest.pfns, True)
    assert without_offsets(read(guest.encode())) == [head, info, frames, *body(guest), *tail]


def test_what_follows_is_left_unread() -> None:
    source = Memory(Hvm().encode() + b"next")
    list(v1.read(source))
    assert source.data[source.offset :] == b"next"


@pytest.mark.parametrize("guest", [Hvm(batches=[batch(1)]), Hvm(word=4, batches=[batch(1)]), SMALL_PV])
def test_every_cut_is_seen_and_told_with_its_record(guest: Hvm | Pv) -> None:
    data = guest.encode()
    for length in range(len(data)):
        with pytest.raises(TruncatedStream, match=r"^[\w ]+: the file ends within it \(at byte \d+\)$"):
            read(data[:length])


def test_a_device_state_without_a_length_ends_with_the_file() -> None:
    """xend wrote it like that, so a cut within it cannot be found."""
    data = Hvm(signature=made.XEND, state=b"QEVM and so on").encode()
    assert read(data[:-3])[-1] == items.DeviceState(len(data) - 14 - 21, made.XEND, b"QEVM and so")


def patched(guest: Hvm | Pv, old: bytes, new: bytes) -> bytes:
    data = guest.encode()
    assert data.count(old) == 1
    return data.replace(old, new)


MANY = b"\xff\xff\xff\xff"
TSC = struct.pack("<i", -7)
SAVED = struct.pack("<i", -9) + bytes(4)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bytes(64), "no legacy stream: 0 pages"),
        (struct.pack("<Q", (1 << 28) + 1) + bytes(64), "no legacy stream: 268435457 pages"),
        (patched(Hvm(), TSC, struct.pack("<i", 1025)), "page batch: 1025 pages"),
        (patched(Hvm(), TSC, struct.pack("<i", (1 << 31) - 1)), "page batch: 2147483647 pages"),
        (patched(Hvm(), TSC, struct.pack("<i", -21)), "chunk -21: unknown"),
        (patched(Hvm(), TSC, struct.pack("<i", -5)), "TMEM: memory outside of the guest"),
        (patched(Hvm(), TSC, struct.pack("<i", -12)), "COMPRESSED_DATA: pages as Remus sends them"),
        (Hvm(batches=[batch(0x5000_0001)]).encode(), "page batch: page type 0x5"),
        (Hvm(batches=[made.Batch([1 << 32], bytes(4096))]).encode(), "page batch: page type 0x10"),
        (Hvm(batches=[batch(1, 2, 1)]).encode(), "page batch: a page twice"),
        (Hvm(last_vcpu=4096).encode(), "VCPU_INFO: last vcpu 4096"),
        (patched(Hvm(last_vcpu=77, online=()), struct.pack("<ii", -2, 77), struct.pack("<ii", -2, -1)), "VCPU_INFO: last vcpu -1"),
        (patched(Hvm(), struct.pack("<iI", -18, 8), struct.pack("<i", -18) + MANY), "TOOLSTACK: claims 4294967295 bytes"),
        (patched(Hvm(), struct.pack("<iI", -18, 8), struct.pack("<iI", -18, 7)), "TOOLSTACK: 7 bytes"),
        (patched(Hvm(), struct.pack("<iIII", -18, 8, 1, 0), struct.pack("<iIII", -18, 8, 2, 0)), "TOOLSTACK: version 2"),
        (patched(Hvm(), struct.pack("<iIII", -18, 8, 1, 0), struct.pack("<iII", -18, 8, 1) + MANY), "TOOLSTACK: too short for 4294967295 entries"),
        (Hvm(physmap=[made.Physmap(1, 2, 3, "a\0b")]).encode(), "TOOLSTACK: a name that does not end, or is none"),
        (patched(Hvm(context=b"HVM"), b"\3\0\0\0HVM", MANY + b"HVM"), "HVM tail: claims 4294967295 bytes"),
        (Hvm(signature=b"DeviceModelRecord0003").encode(), "device state: signature b'DeviceModelRecord0003'"),
        (patched(Hvm(state=b"QEVM"), b"\4\0\0\0QEVM", MANY + b"QEVM"), "device state: claims 4294967295 bytes"),
        (Hvm(state=b"qemu").encode(), "device state: not qemu's"),
        (Hvm(signature=made.XEND, state=b"QEVM" + bytes(items.MAX_BLOB)).encode(), "device state: more than 8388608 bytes"),
        (patched(Pv(), b"vcpu\x30\x14", b"vcpv\x30\x14"), "extended info: block b'vcpv' of 5168 bytes"),
        (patched(Pv(), b"vcpu\x30\x14", b"xcnt\x30\x14"), "extended info: vcpus of 0 bytes"),
        (patched(Pv(), b"vcpu\x30\x14\0\0", b"vcpu" + MANY), "extended info: a block reaches beyond its end"),
        (patched(Pv(), b"extv", b"extw"), "extended info: block b'extw' of 0 bytes"),
        (patched(Pv(extended=False, xsave=8), b"xcnt\4\0\0\0\x18", b"xcnt\4\0\0\0\x19"), "vcpu 0: xsave area of 8 bytes, 25 with its head were announced"),
        (Pv(xsave=(1 << 20) + 1).encode(), "vcpu 0: xsave area of 1048577 bytes, 1048593 with its head were announced"),
        (patched(Pv(), SAVED + bytes(4), SAVED + MANY), "unmapped pages: 4294967295 of them"),
        (patched(Pv(), TSC, struct.pack("<i", -3)), "HVM_IDENT_PT: in a PV guest"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(StreamError) as caught:
        read(data)
    assert str(caught.value).startswith(said)
    assert isinstance(caught.value, BadRecord | UnsupportedStream) or "legacy" in said
