"""The elements of a file: each byte belongs to one, in order, and each record's body is where it says."""

import struct

import pytest

from pyxl.errors import StreamError, TruncatedStream, UnsupportedStream
from pyxl.formats.stream import libxc_v2, record, walk, xl_header
from pyxl.formats.stream.walk import Element
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes

WHOLE = streams.summed(streams.checkpoint(marked=True))
NAMES = [
    "HEADER", "CONFIG", "MARKER", "HEADER", "LIBXC_CONTEXT", "IMAGE_HEADER", "DOMAIN_HEADER", "STATIC_DATA_END", "PAGE_DATA",
    "HVM_CONTEXT", "END", "EMULATOR_CONTEXT", "END", "TRAILER",
]  # fmt: skip


def elements(data: bytes) -> list[Element]:
    source = Bytes(data)
    return list(walk.elements(source.take, source.skip))


def test_every_byte_belongs_to_one_element() -> None:
    found = elements(WHOLE)
    assert [element.name for element in found] == NAMES
    assert [element.offset for element in found] == [0, *(element.end for element in found[:-1])]
    assert found[-1].end == len(WHOLE)


def test_what_stands_behind_is_left_unread() -> None:
    source = Bytes(WHOLE + b"junk")
    assert list(walk.elements(source.take, source.skip))[-1].end == source.offset == len(WHOLE)


def test_layers_and_kinds_are_the_formats_own() -> None:
    by_name = {(element.layer, element.name): element.kind for element in elements(WHOLE)}
    assert by_name["libxc", "PAGE_DATA"] == 1
    assert by_name["libxl", "EMULATOR_CONTEXT"] == 3
    assert by_name["xl", "CONFIG"] == by_name["pyxl", "TRAILER"] == walk.NO_RECORD


def test_bodies_are_where_they_say() -> None:
    found = {element.name: WHOLE[element.body :][: element.length] for element in elements(WHOLE)}
    assert found["CONFIG"] == streams.CONFIG + b"\0"
    assert found["MARKER"].startswith(b"pyxlmark")
    assert found["HVM_CONTEXT"] == streams.CONTEXT
    assert found["EMULATOR_CONTEXT"] == struct.pack("<II", 2, 0) + b"QEVM device state"
    assert found["TRAILER"].startswith(b"pyxlsums")


def test_files_of_xl_s_have_neither_marker_nor_trailer() -> None:
    assert {element.layer for element in elements(streams.checkpoint())} == {"xl", "libxl", "libxc"}


def test_a_file_without_optional_data_has_no_config() -> None:
    data = streams.checkpoint()
    bare = data[:44] + struct.pack("<I", 0) + data[xl_header.parse(Bytes(data).take).size :]
    assert elements(bare)[1].layer == "libxl"


def test_optional_data_of_others_are_an_element() -> None:
    header = xl_header.XlHeader(3, struct.pack("<I", 3) + b"{}\0" + b"others'")
    found = list(walk.header_elements(xl_header.parse(Bytes(header.encode()).take)))
    assert [(element.title, element.size) for element in found] == [("xl HEADER", 48), ("xl CONFIG", 7), ("xl OTHER_DATA", 7)]


def test_an_optional_record_is_named_by_its_number() -> None:
    records = record.encode(0x10) + record.encode(libxc_v2.OPTIONAL | 1, b"?")
    found = elements(streams.checkpoint(streams.libxc_stream(records=records)))
    assert found[7].name == "0x80000001"


def test_every_cut_is_found_and_leaves_whole_elements_before_it() -> None:
    whole = elements(WHOLE)
    for length in range(len(WHOLE)):
        found: list[Element] = []
        source = Bytes(WHOLE[:length])
        with pytest.raises(TruncatedStream):
            found.extend(walk.elements(source.take, source.skip))
        assert found == whole[: len(found)]


def test_a_legacy_stream_is_not_walked() -> None:
    header = xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, xl_header.FLAG_JSON, 0, 0)
    source = Bytes(header + bytes(64))
    found = walk.elements(source.take, source.skip)
    assert next(found).name == "HEADER"
    with pytest.raises(UnsupportedStream, match="legacy"):
        next(found)


def test_a_promised_trailer_that_is_missing_is_an_error() -> None:
    with pytest.raises(StreamError):
        elements(streams.checkpoint(marked=True))
