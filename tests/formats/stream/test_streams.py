"""Headers and records: whole, with junk behind, cut short, and with values that no reader accepts."""

import struct
from pathlib import Path

import pytest

from pyxl.checkpoint.source import Source
from pyxl.errors import BadHeader, BadRecord, StreamError, TruncatedStream, UnsupportedStream
from pyxl.formats.stream import libxl_v2, record, walk, xl_header
from tests.formats.stream import streams


class Bytes:
    """``take`` and ``skip`` on bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, length: int) -> bytes:
        if self.offset + length > len(self.data):
            raise TruncatedStream("file ends", len(self.data))
        self.offset += length
        return self.data[self.offset - length : self.offset]

    def skip(self, length: int) -> None:
        self.take(length)


def walked(data: bytes) -> int:
    source = Bytes(data)
    header = xl_header.parse(source.take)
    return walk.end_of_stream(source.take, source.skip, header.size)


def test_header_is_xl_s_byte_for_byte_with_the_marker_behind_the_config() -> None:
    data = xl_header.encode(b"{}\n")
    assert data[:32] == b"Xen saved domain, xl format\n \x00 \r"
    assert data[32:48] == bytes.fromhex("04030201 03000000 00000000 18000000")
    assert data[48:] == b"\x04\0\0\0{}\n\0" + b"pyxlmark" + bytes.fromhex("01000000 03000000")


def test_header_gives_back_the_config_without_its_nul() -> None:
    source = Bytes(xl_header.encode(streams.CONFIG) + b"stream")
    header = xl_header.parse(source.take)
    assert (header.config, header.is_json, header.is_v2) == (streams.CONFIG, True, True)
    assert source.data[source.offset :] == b"stream"
    assert header.size == source.offset


def test_header_without_config_and_with_bytes_behind_it() -> None:
    assert xl_header.parse(Bytes(xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 2, 0, 0)).take).config == b""
    block = struct.pack("<I", 3) + b"a=1" + b"pyxl's own"
    packed = xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 2, 0, len(block)) + block
    header = xl_header.parse(Bytes(packed).take)
    assert (header.config, header.is_json, header.size) == (b"a=1", False, len(packed))


@pytest.mark.parametrize(
    ("offset", "bad", "error"),
    [
        (0, b"#!", BadHeader), (32, b"\1\2\3\4", BadHeader), (36, b"\x07", UnsupportedStream),
        (44, b"\xff\xff\xff\xff", BadHeader), (48, b"\xff\xff\0\0", TruncatedStream),
    ],
)  # fmt: skip
def test_bad_headers(offset: int, bad: bytes, error: type[StreamError]) -> None:
    data = bytearray(xl_header.encode(streams.CONFIG))
    data[offset : offset + len(bad)] = bad
    with pytest.raises(error):
        xl_header.parse(Bytes(bytes(data)).take)


def test_walk_ends_behind_end_and_leaves_the_next_byte() -> None:
    data = streams.checkpoint()
    assert walked(data) == len(data)
    assert walked(data + b"trailer") == len(data)


def test_walk_finds_every_cut() -> None:
    data = streams.checkpoint(streams.libxc_stream(records=record.encode(0x10) + record.encode(0x09, b"x" * 99)))
    for length in range(len(data)):
        with pytest.raises(TruncatedStream):
            walked(data[:length])


@pytest.mark.parametrize("version", [2, 3])
def test_walk_takes_both_image_versions(version: int) -> None:
    data = streams.checkpoint(streams.libxc_stream(version))
    assert walked(data) == len(data)


@pytest.mark.parametrize(
    ("libxc", "error"),
    [
        (streams.libxc_stream(4), UnsupportedStream),
        (streams.libxc_stream(records=record.encode(0x13)), UnsupportedStream),
        (streams.libxc_stream(records=record.encode(0x0E)), UnsupportedStream),
        (streams.libxc_stream(records=record.HEADER.pack(1, (128 << 20) + 1)), BadRecord),
        (b"\0" * 64, BadHeader),
    ],
)
def test_walk_refuses_what_restore_would(libxc: bytes, error: type[StreamError]) -> None:
    with pytest.raises(error):
        walked(streams.checkpoint(libxc))


def test_walk_passes_optional_libxc_records() -> None:
    data = streams.checkpoint(streams.libxc_stream(records=record.encode(0x8000_0001, b"?")))
    assert walked(data) == len(data)


@pytest.mark.parametrize(
    ("records", "error"),
    [
        (libxl_v2.end(), BadRecord),
        (record.encode(7), UnsupportedStream),
        (record.encode(0x8000_0000), UnsupportedStream),
        (record.encode(1, b"x" * 8), BadRecord),
    ],
)
def test_walk_refuses_what_libxl_would(records: bytes, error: type[StreamError]) -> None:
    start = xl_header.encode(streams.CONFIG) + libxl_v2.HEADER.pack(libxl_v2.IDENT, 2, 0)
    with pytest.raises(error):
        walked(start + records)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9])
def test_records_are_padded_to_eight(length: int) -> None:
    encoded = record.encode(3, b"x" * length)
    assert len(encoded) % 8 == 0
    assert encoded[:8] == struct.pack("<II", 3, length)
    assert encoded[8 + length :] == bytes(-length % 8)


def test_emulator_records() -> None:
    assert libxl_v2.emulator_context(2, b"QEVM") == bytes.fromhex("03000000 0c000000 02000000 00000000") + b"QEVM\0\0\0\0"
    keys = libxl_v2.emulator_xenstore_data(2, [("physmap/0/size", "1000")])
    assert keys[16 : 16 + 20] == b"physmap/0/size\x001000\0"


def test_source_reads_exactly_and_leaves_the_offset(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(streams.checkpoint())
    with path.open("rb", buffering=0) as file:
        source = Source(file.fileno())
        header = xl_header.parse(source.take)
        assert walk.end_of_stream(source.take, source.skip, header.size) == source.size == source.offset
        assert file.tell() == 0
        with pytest.raises(TruncatedStream):
            source.take(1)
        with pytest.raises(TruncatedStream):
            source.skip(1)
