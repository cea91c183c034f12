"""The seek table: round trips, and every flip, cut and false claim."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.errors import BadRecord, StreamError, TruncatedStream, UnsupportedStream
from pyxl.formats import seekable
from pyxl.formats.seekable import Frame, Frames

FRAMES = [(100, 2 << 20), (9, 1), (1234, 8 << 20)]
#: As one frame of pyxl's begins: 2 MiB of content and a checksum.
HEAD = seekable.MAGIC + bytes([0xA4]) + struct.pack("<I", 2 << 20)


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def parse(data: bytes) -> Frames:
    return seekable.parse(reader(data), len(data))


def file(frames: list[tuple[int, int]], first: bytes = HEAD) -> bytes:
    return first.ljust(sum(stored for stored, _ in frames), b"x") + seekable.encode(frames)


@given(st.lists(st.tuples(st.integers(20, 10_000), st.integers(1, seekable.MAX_CONTENT)), max_size=20), st.data())
def test_a_table_comes_back(frames: list[tuple[int, int]], data: st.DataObject) -> None:
    found = parse(file(frames, b""))
    each = [found[number] for number in range(len(found))]
    assert [(frame.stored, frame.content) for frame in each] == frames
    assert found.size == sum(content for _, content in frames)
    assert found.most == max((content for _, content in frames), default=0)
    if frames:
        offset = data.draw(st.integers(0, found.size - 1))
        frame = found.holding(offset)
        assert frame.start <= offset < frame.end
        assert each[frame.number] == frame


def test_a_frame_stands_behind_the_one_before() -> None:
    found = parse(file(FRAMES))
    assert found[2] == Frame(2, 109, 1234, (2 << 20) + 1, 8 << 20)
    assert found.holding(2 << 20).number == 1


def test_every_flip_in_a_table_is_found_or_seen_in_a_frame() -> None:
    """A frame's own header says what it holds: that alone shows a false size of content."""
    whole = file(FRAMES)
    for bit in range(8 * sum(stored for stored, _ in FRAMES), 8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = parse(bytes(flipped))
        except StreamError:
            continue
        assert [found[number].stored for number in range(3)] == [stored for stored, _ in FRAMES]
        assert [found[number].content for number in range(3)] != [content for _, content in FRAMES]


def test_every_cut_is_found() -> None:
    whole = file(FRAMES)
    for length in range(len(whole)):
        with pytest.raises(TruncatedStream if length >= len(HEAD) else StreamError):
            parse(whole[:length])


@pytest.mark.parametrize(
    "frames", [[(100, 0)], [(100, seekable.MAX_CONTENT + 1)], [(0xFFFF_FFFF, 1)], [(99, 1)]], ids=str
)
def test_frames_that_cannot_be_are_refused(frames: list[tuple[int, int]]) -> None:
    with pytest.raises(BadRecord, match="do not fit the file"):
        parse(HEAD.ljust(100, b"x") + seekable.encode(frames))


@pytest.mark.parametrize("count", [4, 1 << 22, 0xFFFF_FFFF])
def test_more_frames_than_there_are_cost_no_memory(count: int) -> None:
    asked = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return whole[offset : offset + length]

    whole = file(FRAMES)[: -seekable.FOOT.size] + seekable.FOOT.pack(count, 0, seekable.FOOT_MAGIC)
    with pytest.raises(BadRecord):
        seekable.parse(read, len(whole))
    assert max(asked) < 100


def test_a_table_with_checksums_of_its_own_is_refused() -> None:
    whole = file(FRAMES)[: -seekable.FOOT.size] + seekable.FOOT.pack(3, 0x80, seekable.FOOT_MAGIC)
    with pytest.raises(UnsupportedStream, match="0x80"):
        parse(whole)


@pytest.mark.parametrize(
    ("head", "size"),
    [(b"\x20\x07", 7), (b"\x60\x00\x01", 512), (b"\xa4\x00\x00\x20\x00", 2 << 20), (b"\x80\x50\x00\x00\x20\x00", 2 << 20),
     (b"\xe0" + bytes(7) + b"\x01", 1 << 56), (b"\x21\x99\x07", 7), (b"\x04\x50", None), (b"\xa4\x00", None), (b"", None)],
)  # fmt: skip
def test_what_a_frame_says_that_it_holds(head: bytes, size: int | None) -> None:
    assert seekable.content_size(seekable.MAGIC + head) == size


def test_a_file_of_one_frame_is_no_cut_one() -> None:
    for head in (b"\xa4" + struct.pack("<I", 1 << 30), b"\x04\x50", b"\xa0" + struct.pack("<I", 2 << 20)):
        with pytest.raises(UnsupportedStream, match="as one piece") as caught:
            parse((seekable.MAGIC + head).ljust(100, b"x"))
        assert "zstd -dc" in caught.value.hint
