"""Record bodies, headers and padding encode to the same bytes; whole, with junk behind, and cut short."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.errors import BadRecord, TruncatedStream
from pyxl.formats.stream import libxc_records, libxc_v2, libxl_v2, record, xl_header
from pyxl.formats.stream.libxc_records import (  # fmt: skip
    Body,
    CpuidPolicy,
    DirtyPfns,
    HvmParams,
    Leaf,
    MsrEntry,
    MsrPolicy,
    P2mFrames,
    PageData,
    PvInfo,
    TscInfo,
    VcpuBlob,
)
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes

u8, u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
Decode = Callable[[bytes, int], Any]


def tuples(*parts: st.SearchStrategy[Any], most: int = 20) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.tuples(*parts) if len(parts) > 1 else parts[0], max_size=most).map(tuple)


def body_of(data: bytes) -> bytes:
    """Read one record whole, with junk behind, and cut at every byte; return its body."""
    source = Bytes(data + b"junk")
    _, length = record.read_header(source.take, 0)
    body = source.take(length)
    source.skip(record.padding(length))
    assert source.offset == len(data)
    for end in range(len(data)):
        cut = Bytes(data[:end])
        with pytest.raises(TruncatedStream):
            cut.skip(record.read_header(cut.take, 0)[1] + record.padding(length))
    return body


BODIES: list[tuple[int, st.SearchStrategy[Body]]] = [
    (libxc_v2.X86_PV_INFO, st.builds(PvInfo, u8, u8, u16, u32)),
    (libxc_v2.X86_PV_P2M_FRAMES, st.builds(P2mFrames, u32, u32, tuples(u64))),
    *((kind, st.builds(VcpuBlob, u32, st.binary(max_size=99), u32)) for kind in libxc_records.VCPU_BLOBS),
    (libxc_v2.X86_TSC_INFO, st.builds(TscInfo, u32, u32, u64, u32, u32)),
    (libxc_v2.HVM_PARAMS, st.builds(HvmParams, tuples(u64, u64), u32)),
    (libxc_v2.CHECKPOINT_DIRTY_PFN_LIST, st.builds(DirtyPfns, tuples(u64))),
    (libxc_v2.X86_CPUID_POLICY, st.builds(CpuidPolicy, tuples(u32, u32, u32, u32, u32, u32).map(
        lambda leaves: tuple(Leaf(*leaf) for leaf in leaves)))),
    (libxc_v2.X86_MSR_POLICY, st.builds(MsrPolicy, tuples(u32, u32, u64).map(
        lambda entries: tuple(MsrEntry(*entry) for entry in entries)))),
    (libxc_v2.HVM_CONTEXT, st.binary(max_size=99)),
    (libxc_v2.TOOLSTACK, st.binary(max_size=99)),
    (libxc_v2.SHARED_INFO, st.just(bytes(range(256)) * 16)),
    *((kind, st.just(b"")) for kind in (libxc_v2.END, libxc_v2.VERIFY, libxc_v2.CHECKPOINT, libxc_v2.STATIC_DATA_END)),
    (libxc_v2.OPTIONAL | 7, st.binary(max_size=9)),
]  # fmt: skip


def test_every_record_type_is_tried() -> None:
    assert {kind for kind, _ in BODIES} >= set(libxc_v2.NAMES) - {libxc_v2.PAGE_DATA}


@pytest.mark.parametrize(("kind", "bodies"), BODIES, ids=lambda value: libxc_v2.NAMES.get(value, "") if isinstance(value, int) else "")
def test_every_body_comes_back(kind: int, bodies: st.SearchStrategy[Body]) -> None:
    @given(bodies)
    def check(body: Body) -> None:
        data = libxc_records.encode(kind, body)
        found = libxc_records.decode(kind, body_of(data) if len(data) < 200 else data[8:], 0)
        assert found == body
        assert type(found) is type(body)
        assert libxc_records.encode(kind, found) == data

    check()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (libxc_v2.X86_PV_INFO, bytes(7)), (libxc_v2.X86_PV_INFO, bytes(16)), (libxc_v2.X86_TSC_INFO, bytes(23)),
        (libxc_v2.SHARED_INFO, bytes(4095)), (libxc_v2.X86_PV_P2M_FRAMES, bytes(7)),
        (libxc_v2.X86_PV_P2M_FRAMES, bytes(12)), (libxc_v2.X86_PV_VCPU_BASIC, bytes(7)), (libxc_v2.HVM_PARAMS, bytes(7)),
        (libxc_v2.HVM_PARAMS, struct.pack("<II", 2, 0) + bytes(16)),
        (libxc_v2.HVM_PARAMS, struct.pack("<II", 0xFFFF_FFFF, 0) + bytes(16)), (libxc_v2.X86_CPUID_POLICY, bytes(25)),
        (libxc_v2.X86_MSR_POLICY, bytes(24)), (libxc_v2.CHECKPOINT_DIRTY_PFN_LIST, bytes(9)),
    ],
)  # fmt: skip
def test_a_body_of_a_length_that_cannot_be_is_an_error_with_its_place(kind: int, body: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        libxc_records.decode(kind, body, 4711)
    assert caught.value.offset == 4711


@given(tuples(u64, most=9).filter(bool), u32)
def test_what_stands_before_pages_comes_back(words: tuple[int, ...], reserved: int) -> None:
    head = libxc_records.encode_page_head(PageData(words, reserved))[8:]
    assert libxc_records.page_head_size(head[:8], len(head), 0) == len(head)
    assert libxc_records.decode_pages(head) == PageData(words, reserved)


def test_pages_stand_where_they_are_said_to() -> None:
    data = streams.page_data([7, 8])
    pages = libxc_records.decode_pages(data[8 : 8 + 8 + 16])
    assert pages.size == len(data) - 8
    found = [(pfn, kind, data[8 + at :][:4096]) for pfn, kind, at in pages.pages() if at]
    assert found == [(7, 0, b"\x07" * 4096), (8, 0, b"\x08" * 4096)]


def test_pages_without_data_take_no_place() -> None:
    words = tuple(kind << 60 | pfn for pfn, kind in enumerate([0xF, 0x0, 0xD, 0xE, 0x9]))
    at = 8 + 8 * 5
    assert [place for _, _, place in PageData(words).pages()] == [None, at, None, None, at + 4096]
    assert PageData(words).size == at + 2 * 4096


@pytest.mark.parametrize(
    ("head", "length"),
    [(b"\1\0\0", 3), (bytes(8), 8), (b"\xff" * 8, 128 << 20), (b"\2\0\0\0" + bytes(4), 23)],
)
def test_a_page_count_that_cannot_be_is_an_error(head: bytes, length: int) -> None:
    with pytest.raises(BadRecord):
        libxc_records.page_head_size(head, length, 0)


texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))
keys = texts.filter(lambda text: bool(text) and not text.startswith("/"))


@given(u32, tuples(keys, texts, most=5), u32)
def test_emulator_s_xenstore_data_come_back(emulator: int, pairs: tuple[tuple[str, str], ...], index: int) -> None:
    data = libxl_v2.emulator_xenstore_data(emulator, pairs, index)
    found = libxl_v2.decode_xenstore_data(body_of(data), 0)
    assert found == (emulator, pairs, index)


def test_xenstore_data_that_are_no_text_come_back() -> None:
    body = struct.pack("<II", 2, 0) + b"key\0\xff\xfe\0"
    found = libxl_v2.decode_xenstore_data(body, 0)
    assert libxl_v2.emulator_xenstore_data(*found) == record.encode(libxl_v2.EMULATOR_XENSTORE_DATA, body)


@pytest.mark.parametrize("strings", [b"key", b"key\0value", b"key\0", b"\0value\0", b"/key\0value\0", b"a\0b\0c\0"])
def test_xenstore_data_that_libxl_refuses_are_an_error(strings: bytes) -> None:
    with pytest.raises(BadRecord):
        libxl_v2.decode_xenstore_data(bytes(8) + strings, 0)


@given(u32, st.binary(max_size=50), u32)
def test_emulator_s_context_comes_back(emulator: int, state: bytes, index: int) -> None:
    data = libxl_v2.emulator_context(emulator, state, index)
    assert libxl_v2.decode_emulator_context(body_of(data), 0) == (emulator, state, index)


@given(u32)
def test_checkpoint_state_comes_back(state: int) -> None:
    assert libxl_v2.decode_checkpoint_state(body_of(libxl_v2.checkpoint_state(state)), 0) == state


@pytest.mark.parametrize(
    "decode", [libxl_v2.decode_xenstore_data, libxl_v2.decode_emulator_context, libxl_v2.decode_checkpoint_state]
)
def test_a_libxl_body_that_is_too_short_is_an_error_with_its_place(decode: Decode) -> None:
    with pytest.raises(BadRecord) as caught:
        decode(b"\0\0\0", 4711)
    assert caught.value.offset == 4711


#: Bytes that may follow a config; pyxl's marker has its own tests.
no_marker = st.binary(max_size=20).filter(lambda rest: not rest.startswith(xl_header.MARKER_MAGIC))


@given(st.integers(0, 3), st.none() | st.binary(max_size=40), no_marker, u32)
def test_every_xl_header_comes_back(flags: int, config: bytes | None, rest: bytes, optional: int) -> None:
    block = b"" if config is None else struct.pack("<I", len(config)) + config + rest
    data = xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, flags, optional, len(block)) + block
    source = Bytes(data + b"junk")
    header = xl_header.parse(source.take)
    assert header.encode() == data
    assert source.offset == header.size == len(data)
    assert (header.is_json, header.is_v2, header.config) == (bool(flags & 1), bool(flags & 2), (config or b"").rstrip(b"\0"))
    for end in range(len(data)):
        with pytest.raises(TruncatedStream):
            xl_header.parse(Bytes(data[:end]).take)


@pytest.mark.parametrize(("is_json", "config"), [(True, b"{}\n"), (False, b"name='web1'\n")])
def test_a_header_is_written_for_both_kinds_of_config(is_json: bool, config: bytes) -> None:
    header = xl_header.parse(Bytes(xl_header.encode(config, is_json)).take)
    assert (header.config, header.is_json, header.is_v2, header.has_trailer) == (config, is_json, True, True)
    assert header.config_length == len(config) + is_json
