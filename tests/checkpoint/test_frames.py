"""A compressed checkpoint reads as what it holds, at random and from a pipe; whatever damages it is found."""

import gzip
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.checkpoint.frames import CompressedFile
from pyxl.checkpoint.source import Source
from pyxl.errors import BadRecord, StreamError, TruncatedStream, UnsupportedStream
from pyxl.files.inspect import inspect
from pyxl.files.verify import verify
from pyxl.formats import seekable
from pyxl.formats.stream import trailer
from pyxl.formats.stream.finding import BROKEN, UNKNOWN
from tests.checkpoint.test_checked import send
from tests.formats.stream import streams
from tests.formats.test_golden import GOLDEN

FRAME = 10_000
DATA = os.urandom(35_000) + bytes(50_000) + b"pyxl" * 5000
STORED = streams.compressed(DATA, FRAME)
#: A guest of 48 KiB, as `pyxl save --compress` and then `zstd -d` leave it.
PAGES = streams.STATIC_DATA_END + streams.page_data(list(range(12))) + streams.encoded("HVM_CONTEXT", streams.CONTEXT)
PLAIN = streams.checkpoint(streams.libxc_stream(records=PAGES), os.urandom(10_000), marked=True)
WHOLE = streams.summed(PLAIN, algorithm=trailer.NONE)
COMPRESSED = streams.compressed(WHOLE, 6000)


@contextmanager
def source(data: bytes) -> Iterator[Source]:
    fd = os.memfd_create("compressed")
    try:
        os.write(fd, data)
        yield Source(fd)
    finally:
        os.close(fd)


@given(st.lists(st.tuples(st.integers(0, len(DATA) + 100), st.sampled_from([1, 8, 12, 64, 100, FRAME, 3 * FRAME])), max_size=20))
def test_any_bytes_read_as_they_were(places: list[tuple[int, int]]) -> None:
    with source(STORED) as compressed:
        assert (compressed.size, compressed.seekable) == (len(DATA), True)
        for offset, length in places:
            compressed.offset = offset
            assert compressed.peek(length) == DATA[offset : offset + length]
            if offset + length > len(DATA):
                with pytest.raises(TruncatedStream):
                    compressed.read(offset, length)


def test_few_frames_are_kept() -> None:
    with source(STORED) as compressed:
        assert compressed.read(5, len(DATA) - 5) == DATA[5:]
        assert compressed.compressed is not None
        assert len(compressed.compressed._kept) == 4


def test_what_was_not_read_is_checked_at_the_end() -> None:
    """Frames 2 and 8 are damaged; the reader has seen 1 and 5."""
    frames = seekable.parse(lambda offset, length: STORED[offset : offset + length], len(STORED))
    spoilt = bytearray(STORED)
    for number in (1, 7):
        spoilt[frames[number].at + frames[number].stored - 1] ^= 1
    with source(bytes(spoilt)) as compressed:
        compressed.read(0, 10)
        compressed.read(4 * FRAME, 10)
        assert compressed.compressed is not None
        found = compressed.compressed.damaged()
        assert [each.offset for each in found] == [FRAME, 7 * FRAME]
        assert f"frame 2 of {len(frames)}, at byte {frames[1].at} of the compressed file, is not what was saved" in found[0].what
        with pytest.raises(BadRecord, match="frame 8 of"):
            compressed.read(7 * FRAME, 1)


def test_a_file_that_is_cut_is_refused_with_a_clear_line(tmp_path: Path) -> None:
    for size in (len(COMPRESSED) - 1, len(COMPRESSED) // 2, 20):
        with pytest.raises(TruncatedStream, match="is compressed and its seek table is missing: the file was cut"):
            source(COMPRESSED[:size]).__enter__()
        (tmp_path / "file").write_bytes(COMPRESSED[:size])
        (found,) = verify(tmp_path / "file").findings
        assert (found.severity, found.rule) == (BROKEN, "cut")


def test_a_file_of_zstd_s_own_is_refused_with_the_way_to_read_it() -> None:
    made = subprocess.run(["zstd", "-qc"], input=WHOLE, capture_output=True, check=True).stdout
    with pytest.raises(UnsupportedStream) as caught:
        source(made).__enter__()
    assert "zstd -dc FILE | pyxl restore -" in caught.value.hint
    assert through_a_pipe(made) == (WHOLE, True)


def through_a_pipe(data: bytes) -> tuple[bytes, bool]:
    reader, writer = os.pipe()
    sender = threading.Thread(target=send, args=(writer, data))
    sender.start()
    read = Source(reader)
    try:
        parts = []
        while part := read.peek(9999):
            parts.append(part)
        return b"".join(parts), read.is_summed
    finally:
        read.close()
        os.close(reader)
        sender.join()


@pytest.mark.parametrize("data", [b"", b"\x28\xb5", b"xl" * 50_000])
def test_a_pipe_that_is_not_compressed_is_as_it_was(data: bytes) -> None:
    assert through_a_pipe(data) == (data, False)


def test_a_compressed_pipe_reads_as_what_it_holds() -> None:
    assert through_a_pipe(STORED) == (DATA, True)


def test_a_compressed_pipe_without_checksums_is_not_summed() -> None:
    made = subprocess.run(["zstd", "-qc", "--no-check"], input=DATA, capture_output=True, check=True).stdout
    assert through_a_pipe(made + STORED) == (DATA + DATA, False)


@pytest.mark.parametrize("damage", ["cut", "flip", "junk"])
def test_a_damaged_pipe_says_why_it_ended(damage: str) -> None:
    spoilt = {"cut": STORED[:20_000], "flip": STORED[:15_000] + bytes([STORED[15_000] ^ 1]) + STORED[15_001:], "junk": STORED + b"junk!"}[damage]
    with pytest.raises(StreamError, match="ends within a frame" if damage == "cut" else "the compressed stream is damaged"):
        through_a_pipe(spoilt)


def test_verify_and_inspect_take_it_as_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(WHOLE)
    (tmp_path / "compressed").write_bytes(COMPRESSED)
    found = verify(tmp_path / "compressed")
    assert (found.worst, found.size, found.stored) == (None, len(WHOLE), len(COMPRESSED))
    assert verify(tmp_path / "plain").worst is UNKNOWN
    plain, compressed = inspect(tmp_path / "plain", True), inspect(tmp_path / "compressed", True)
    assert (plain.checksums, plain.stored) == (False, 0)
    assert compressed == plain._replace(file=compressed.file, checksums=True, stored=len(COMPRESSED))


def test_sums_that_somebody_compressed_are_compared(tmp_path: Path) -> None:
    whole = streams.summed(PLAIN)
    spoilt = bytearray(whole)
    spoilt[5000] ^= 1
    for data, worst in ((whole, None), (bytes(spoilt), BROKEN)):
        (tmp_path / "file").write_bytes(streams.compressed(data, 6000))
        assert verify(tmp_path / "file").worst is worst


def test_what_a_thousand_flips_leave_is_refused_or_what_was_saved(tmp_path: Path) -> None:
    """Some bits of a frame say nothing; whatever changes what it holds is found."""
    draw = random.Random(14)
    accepted = 0
    with open(tmp_path / "file", "wb+", buffering=0) as file:
        for _ in range(1000):
            bit = draw.randrange(8 * len(COMPRESSED))
            spoilt = bytearray(COMPRESSED)
            spoilt[bit // 8] ^= 1 << bit % 8
            file.seek(0)
            file.write(spoilt)
            if verify(tmp_path / "file").worst is None:
                accepted += 1
                assert Source(file.fileno()).read(0, len(WHOLE)) == WHOLE
    assert accepted < 10


@pytest.mark.parametrize("name", ["pyxl-hvm", "xl-pv"])
def test_real_checkpoints_read_the_same(name: str) -> None:
    data = gzip.decompress((GOLDEN / f"{name}.ckpt.gz").read_bytes())
    with source(streams.compressed(data, 4096)) as compressed:
        assert compressed.read(0, compressed.size) == data


def test_a_table_with_frames_of_other_sizes_is_found() -> None:
    frames = [(100, 50), (100, 60)]
    fake = streams.compressed(bytes(200), 100)
    size = len(fake) - len(seekable.encode(frames))
    with source(fake[:size] + seekable.encode([(size // 2, 90), (size // 2, 110)])) as compressed:
        assert isinstance(compressed.compressed, CompressedFile)
        assert len(compressed.compressed.damaged()) == 2
