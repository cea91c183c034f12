"""zstd frames: round trips from any buffers, every flip, and zstd's own program as the judge."""

import ctypes
import os
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.checkpoint import zstd
from pyxl.checkpoint.zstd import Compressor, Decompressor, Inflation, ZstdError
from pyxl.errors import PyxlError
from pyxl.formats import seekable

MOST = 1 << 16
DATA = os.urandom(5000) + bytes(5000) + b"pyxl" * 2000


@given(st.lists(st.binary(max_size=5000), min_size=1, max_size=8), st.sampled_from([-7, -1, 1, 3]))
def test_a_frame_comes_back_from_any_buffers(pieces: list[bytes], level: int) -> None:
    whole = b"".join(pieces)
    kinds = [piece if at % 3 else bytearray(piece) if at % 2 else memoryview(bytearray(piece)) for at, piece in enumerate(pieces)]
    frame = bytes(Compressor(level, MOST).frame(*kinds))
    assert (seekable.content_size(frame), seekable.has_sum(frame)) == (len(whole), True)
    into = bytearray(MOST)
    assert Decompressor().frame(frame, into) == len(whole)
    assert into[: len(whole)] == whole


def test_memory_is_named_by_its_address() -> None:
    held = ctypes.create_string_buffer(DATA, len(DATA))
    frame = bytes(Compressor(1, MOST).frame((ctypes.addressof(held), 1000), (ctypes.addressof(held) + 1000, len(DATA) - 1000)))
    into = ctypes.create_string_buffer(len(DATA))
    assert Decompressor().frame(frame, (ctypes.addressof(into), len(into))) == len(DATA)
    assert into.raw == DATA


def test_more_content_than_a_frame_may_have_is_refused() -> None:
    noise = os.urandom(2 * MOST)
    for content in ([noise], [noise[:MOST], noise[MOST:]]):
        with pytest.raises(ZstdError):
            Compressor(1, MOST).frame(*content)


def test_the_level_may_change_between_frames() -> None:
    compressor = Compressor(-7, MOST)
    text = b"".join(b"%d pages of %d\n" % (number, number * number) for number in range(1000))
    fast = len(compressor.frame(text))
    compressor.level = 3
    assert len(compressor.frame(text)) < fast


def test_no_flip_of_a_bit_changes_the_content() -> None:
    """Some bits of a frame say nothing, such as a reserved one of its descriptor."""
    frame = bytes(Compressor(1, MOST).frame(DATA))
    decompressor, into = Decompressor(), bytearray(MOST)
    accepted = 0
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        with suppress(ZstdError):
            assert bytes(into[: decompressor.frame(flipped, into)]) == DATA
            accepted += 1
    assert accepted < 10


def test_what_does_not_fit_is_refused() -> None:
    frame = bytes(Compressor(1, MOST).frame(DATA))
    for data, into in ((frame, bytearray(len(DATA) - 1)), (frame[:-1], bytearray(MOST)), (b"", bytearray(1)), (frame[:4], bytearray(1))):
        with pytest.raises(ZstdError):
            Decompressor().frame(data, into)


def inflated(data: bytes, piece: int) -> tuple[bytes, bool]:
    inflation = Inflation()
    found = []
    for at in range(0, len(data), piece):
        inflation.add(data[at : at + piece])
        while inflation.rest or inflation.has_more:
            found.append(bytes(inflation.content()))
    return b"".join(found), inflation.is_within


@pytest.mark.parametrize("piece", [11, 1000, 1 << 20])
def test_frames_that_come_in_pieces(piece: int) -> None:
    compressor = Compressor(1, 4 << 20)
    contents = [DATA, b"", os.urandom(3 << 18), bytes(3 << 20)]
    frames = b"".join(bytes(compressor.frame(content)) for content in contents) + seekable.encode([(1, 1)])
    assert inflated(frames, piece) == (b"".join(contents), False)
    assert inflated(frames[:1000], piece)[1]


def test_zstd_s_program_opens_frames() -> None:
    compressor = Compressor(1, MOST)
    frames = bytes(compressor.frame(DATA)) + bytes(compressor.frame(DATA[:7000], bytearray(DATA[7000:])))
    done = subprocess.run(["zstd", "-dc"], input=frames + seekable.encode([]), capture_output=True, check=True)
    assert done.stdout == 2 * DATA


def test_a_host_without_libzstd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(zstd, "_library", None)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(PyxlError, match=r"libzstd\.so\.1"):
        Compressor(1, MOST)
