"""The marker and the trailer: round trips, every bit flip, every cut, and bytes in the wrong place."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl import __version__
from pyxl.checkpoint.descriptors import write_all
from pyxl.errors import BadHeader, BadRecord, StreamError, UnsupportedStream
from pyxl.files.verify import Verdict, verify
from pyxl.formats.stream import trailer, xl_header
from pyxl.formats.stream.finding import BROKEN, UNKNOWN
from pyxl.formats.stream.trailer import BLOCK, Identity, Trailer
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes

IDENTITY = trailer.identity("6b1d9b2e-0000-4000-8000-000000000001", "web1", 1795533611.5, "host", "4.17.7", "7.2.22")
values = st.text(max_size=40)


def parse(data: bytes, offset: int) -> Trailer:
    return trailer.parse(Bytes(data).take, offset)


@given(
    st.integers(0, 20 * BLOCK), st.builds(Identity, values, values, values, values, values, values, values),
    st.sampled_from([trailer.NONE, trailer.XXH3_64, trailer.XXH64]), st.data(),
)  # fmt: skip
def test_a_trailer_comes_back_and_leaves_the_next_byte(
    covered: int, identity: Identity, algorithm: int, data: st.DataObject
) -> None:
    count = -(-covered // BLOCK) if algorithm else 0
    sums = tuple(data.draw(st.lists(st.integers(0, (1 << 64) - 1), min_size=count, max_size=count)))
    written = Trailer(covered, sums, identity, algorithm)
    encoded = trailer.encode(written)
    source = Bytes(encoded + b"next")
    assert trailer.parse(source.take, covered) == written._replace(size=len(encoded))
    assert source.data[source.offset :] == b"next"


def test_an_identity_says_when_in_utc_and_by_which_pyxl() -> None:
    assert IDENTITY.saved == "2026-11-24T15:20:11Z"
    assert IDENTITY.pyxl == __version__


def test_an_identity_of_any_name_is_within_its_bound() -> None:
    named = trailer.identity("", "\0" * (1 << 20), 0, "\U0001f600" * (1 << 20), "", "\udcff")
    assert parse(trailer.encode(Trailer(0, (), named)), 0).identity.name == "\0" * trailer.MAX_VALUE


def test_the_trailer_s_place_is_found_from_the_file_s_end() -> None:
    data = b"x" * 100 + trailer.encode(Trailer(100, (1,), IDENTITY))
    size, magic = trailer.FOOT.unpack(data[-trailer.FOOT.size :])
    assert (len(data) - size, magic) == (100, trailer.END_MAGIC)


def test_members_of_a_later_identity_are_passed_over() -> None:
    text = b'{"name": "web1", "colour": "blue"}'
    assert trailer._identity(text, 0) == Identity(name="web1")


@pytest.mark.parametrize("text", [b"", b"[]", b'"web1"', b"{", b"\xff", b"[" * 60000])
def test_an_identity_that_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(BadRecord):
        trailer._identity(text, 0)


@pytest.mark.parametrize(
    ("head", "error"),
    [
        ((b"notmagic", 1, BLOCK, 100, 1, 2), BadRecord),
        ((trailer.MAGIC, 3, BLOCK, 100, 1, 2), UnsupportedStream),
        ((trailer.MAGIC, 1, 4096, 100, 1, 2), UnsupportedStream),
        ((trailer.MAGIC, 1, BLOCK, 101, 1, 2), BadRecord),
        ((trailer.MAGIC, 1, BLOCK, 100, 0xFFFF_FFFF, 2), BadRecord),
        ((trailer.MAGIC, 1, BLOCK, 100, 1, trailer.MAX_IDENTITY + 1), BadRecord),
    ],
)
def test_a_claim_is_refused_before_it_is_read(head: tuple[object, ...], error: type[StreamError]) -> None:
    source = Bytes(trailer.HEAD.pack(*head))
    with pytest.raises(error):
        trailer.parse(source.take, 100)


@pytest.mark.parametrize(
    ("count", "algorithm", "error"),
    [(1, (3, 0), UnsupportedStream), (1, (2, 1), UnsupportedStream), (1, (0, 0), BadRecord), (0, (2, 0), BadRecord)],
)
def test_sums_of_an_unknown_kind_are_refused(count: int, algorithm: tuple[int, int], error: type[StreamError]) -> None:
    head = trailer.HEAD.pack(trailer.MAGIC, 2, BLOCK, 100, count, 2) + trailer.ALGORITHM.pack(*algorithm)
    with pytest.raises(error):
        parse(head, 100)


def test_a_trailer_of_pyxl_0_4_has_no_algorithm() -> None:
    encoded = trailer.encode(Trailer(100, (1,), IDENTITY, trailer.XXH3_64))
    assert encoded[8:12] == b"\1\0\0\0"
    assert trailer.encode(Trailer(100, (1,), IDENTITY))[8:12] == b"\2\0\0\0"
    assert parse(encoded, 100).algorithm == trailer.XXH3_64


def marked(marker: bytes) -> xl_header.XlHeader:
    block = xl_header.LENGTH.pack(len(streams.CONFIG) + 1) + streams.CONFIG + b"\0" + marker
    return xl_header.parse(
        Bytes(xl_header.HEADER.pack(xl_header.MAGIC, xl_header.BYTE_ORDER, 3, 0, len(block)) + block).take
    )


def test_a_marker_is_none_of_the_config_s() -> None:
    header = marked(xl_header.MARKER.pack(xl_header.MARKER_MAGIC, 1, 1))
    assert (header.config, header.has_trailer) == (streams.CONFIG, True)
    assert not marked(xl_header.MARKER.pack(xl_header.MARKER_MAGIC, 1, 0)).has_trailer
    assert not marked(b"").has_trailer


@pytest.mark.parametrize(
    ("marker", "error"),
    [
        (xl_header.MARKER.pack(xl_header.MARKER_MAGIC, 2, 1), UnsupportedStream),
        (xl_header.MARKER.pack(xl_header.MARKER_MAGIC, 1, 2), UnsupportedStream),
        (xl_header.MARKER.pack(xl_header.MARKER_MAGIC, 1, 7), UnsupportedStream),
        (xl_header.MARKER_MAGIC, BadHeader),
        (xl_header.MARKER.pack(xl_header.MARKER_MAGIC, 1, 1) + b"x", BadHeader),
    ],
)
def test_a_marker_that_cannot_be_is_refused(marker: bytes, error: type[StreamError]) -> None:
    with pytest.raises(error):
        marked(marker)


def feed(writer: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        write_all(writer, data)
    os.close(writer)


def through_a_pipe(data: bytes) -> Verdict:
    reader, writer = os.pipe()
    feeder = threading.Thread(target=feed, args=[writer, data])
    feeder.start()
    try:
        return verify(Path(f"/dev/fd/{reader}"))
    finally:
        os.close(reader)
        feeder.join()


@pytest.fixture(params=["file", "pipe"])
def check(request: pytest.FixtureRequest, tmp_path: Path) -> "Check":
    return Check(tmp_path / "file" if request.param == "file" else None)


class Check:
    """Verify bytes, from a file or through a pipe."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __call__(self, data: bytes) -> Verdict:
        if self._path is None:
            return through_a_pipe(data)
        self._path.write_bytes(data)
        return verify(self._path)


def small() -> bytes:
    return streams.summed(streams.checkpoint(streams.libxc_stream(records=streams.SMALLEST), b"QEVM", marked=True), IDENTITY)


def flips(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_a_whole_file_is_known_for_what_it_is(check: Check) -> None:
    found = check(small())
    assert (found.worst, found.findings) == (None, [])
    assert found.trailer is not None
    assert found.trailer.identity == IDENTITY


def test_xl_s_file_is_whole_and_has_no_sums(check: Check) -> None:
    found = check(streams.checkpoint())
    assert (found.worst, found.trailer) == (UNKNOWN, None)
    assert [finding.rule for finding in found.findings] == ["no-sums"]


def test_a_decompressed_file_is_whole_and_has_no_sums(check: Check) -> None:
    found = check(streams.summed(streams.checkpoint(marked=True), IDENTITY, trailer.NONE))
    assert (found.worst, found.trailer and found.trailer.identity) == (UNKNOWN, IDENTITY)
    assert [finding.text for finding in found.findings] == [
        "no checksums behind it (decompressed: its checksums are in the compressed file)"
    ]


def test_a_file_of_pyxl_0_4_is_checked_by_its_own_sums(check: Check) -> None:
    data = bytearray(streams.old(streams.checkpoint(state=bytes(BLOCK), marked=True)))
    assert check(bytes(data)).worst is None
    data[BLOCK] ^= 1
    assert [each.rule for each in check(bytes(data)).findings] == ["sum"]


def test_sums_of_another_kind_than_the_marker_says_are_refused(check: Check) -> None:
    (found,) = check(streams.summed(streams.checkpoint(marked=True), IDENTITY, trailer.XXH3_64)).findings
    assert (found.severity, found.text) == (BROKEN, "the trailer has other sums than the marker says")


def test_every_flip_of_a_bit_is_found(check: Check) -> None:
    for data in flips(small()):
        assert check(data).worst is BROKEN


def test_every_cut_is_found(check: Check) -> None:
    data = small()
    for length in range(len(data)):
        found = check(data[:length])
        assert found.worst is BROKEN
        assert found.findings[-1].rule == "cut"


@pytest.mark.parametrize("junk", [b"\0", b"x" * 5000, trailer.MAGIC])
def test_what_stands_behind_the_trailer_is_found(check: Check, junk: bytes) -> None:
    (found,) = check(small() + junk).findings
    assert (found.severity, found.offset, found.text) == (BROKEN, len(small()), "bytes behind the trailer")


@pytest.mark.parametrize("junk", [b"\0", trailer.encode(Trailer(0, (), IDENTITY))])
def test_what_stands_behind_end_without_a_marker_is_found(check: Check, junk: bytes) -> None:
    (found,) = check(streams.checkpoint() + junk).findings
    assert (found.severity, found.text) == (BROKEN, "bytes behind END without a marker")


def test_every_block_that_is_not_what_was_saved_is_found(check: Check) -> None:
    data = bytearray(streams.summed(streams.checkpoint(state=bytes(2 * BLOCK), marked=True)))
    data[BLOCK] ^= 1
    data[2 * BLOCK] ^= 1
    found = check(bytes(data)).findings
    assert [(each.offset, each.record, each.rule) for each in found] == [(BLOCK, "block 2", "sum"), (2 * BLOCK, "block 3", "sum")]
