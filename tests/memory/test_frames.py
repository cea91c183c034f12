"""A stream of frames, made and opened by the memory engine, on a fake guest."""

import ctypes
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxl.checkpoint.frames import CompressedFile
from pyxl.errors import BadRecord, StreamError, TruncatedStream
from pyxl.formats import seekable
from pyxl.memory.frames_in import FramesSource
from pyxl.memory.frames_out import ENTRY, FramesSink
from pyxl.memory.restore import Restore, Ring
from pyxl.memory.save import save
from pyxl.memory.sinks import PlainSink
from tests.fakes.guest import PAGE, FakeGuest
from tests.memory.test_engine import SEED, guest, saved


class Files:
    """A file of frames, the table that its writer keeps, and what stands for the content."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "frames"
        self.frames = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.table = os.memfd_create("table")
        self.stand_in = os.memfd_create("stand-in")

    def save(self, source: Any, level: int | None = 1, threads: int = 3) -> None:
        save(source, source, FramesSink(self.frames, self.table, level), (4, 17), threads)
        os.write(self.frames, seekable.encode(self.entries()))
        os.ftruncate(self.stand_in, sum(content for _, content in self.entries()))

    def entries(self) -> list[tuple[int, int]]:
        return list(seekable.ENTRY.iter_unpack(os.pread(self.table, 1 << 20, 0)))

    def restore(self, target: Any, threads: int = 3) -> None:
        os.lseek(self.stand_in, 0, os.SEEK_SET)
        source = FramesSource(self.stand_in, self.frames)
        try:
            Restore(target, target, source, Ring(1, 0), Ring(2, 0), lambda _: 0).run(threads)
        finally:
            assert not target.mapped


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    for fd in (files.frames, files.table, files.stand_in):
        os.close(fd)


@pytest.mark.parametrize("level", [None, -5, 1, 3])
def test_a_guest_comes_back_as_it_was(files: Files, level: int | None) -> None:
    before, after = guest(), FakeGuest()
    files.save(before, level)
    files.restore(after)
    cleared = {0x2FFC, 0x2FFF}
    assert after.pages.keys() == before.pages.keys()
    assert not [gfn for gfn in before.pages if gfn not in cleared and after.pages[gfn] != before.pages[gfn]]
    assert os.lseek(files.stand_in, 0, os.SEEK_CUR) == os.fstat(files.stand_in).st_size


def test_helper_and_toolstack_mean_the_same_table() -> None:
    assert ENTRY.format == seekable.ENTRY.format


def test_the_content_is_the_plain_stream(files: Files, tmp_path: Path) -> None:
    files.save(guest())
    content = subprocess.run(["zstd", "-dcq", files.path], capture_output=True, check=True).stdout
    plain = os.open(tmp_path / "plain", os.O_RDWR | os.O_CREAT)
    assert content == saved(guest(), plain)
    os.close(plain)


def test_zero_pages_that_new_memory_has_not_are_made(files: Files) -> None:
    before, after = FakeGuest({gfn: bytes(PAGE) for gfn in range(1024)}), FakeGuest()
    files.save(before)
    real = after.populate

    def dirty(gfns: bytes, order: int) -> bool:
        done = real(gfns, order)
        after.pages |= {gfn: bytearray(b"\xc2" * PAGE) for gfn in after.pages}  # as a Xen for debugging leaves it
        return done

    after.populate = dirty  # type: ignore[method-assign]
    files.restore(after)
    assert not any(map(any, after.pages.values()))


def test_frames_that_end_within_records_are_taken_too(files: Files, tmp_path: Path) -> None:
    """As the frames of somebody else: each has so many bytes of the stream, wherever that is."""
    plain = os.open(tmp_path / "plain", os.O_RDWR | os.O_CREAT)
    stream = saved(guest(), plain)
    os.close(plain)
    sink = FramesSink(files.frames, files.table, 1)
    for at in range(0, len(stream), 100_003):
        sink.write(stream[at : at + 100_003])
    os.write(files.frames, seekable.encode(files.entries()))
    os.ftruncate(files.stand_in, len(stream))
    after = FakeGuest()
    files.restore(after)
    assert after.pages.keys() == guest().pages.keys()


def test_damaged_frames_are_never_taken(files: Files) -> None:
    """But for bits of a frame that say nothing: what it holds is compared then."""
    before = guest()
    files.save(before)
    whole = files.path.read_bytes()
    end = sum(stored for stored, _ in files.entries())
    chance = random.Random(SEED)
    for _ in range(150):
        at = chance.randrange(end)
        os.pwrite(files.frames, bytes([whole[at] ^ 1 << chance.randrange(8)]), at)
        after = FakeGuest()
        try:
            files.restore(after)
        except StreamError as error:
            assert isinstance(error, BadRecord | TruncatedStream)
        else:
            cleared = {0x2FFC, 0x2FFF}
            assert not [gfn for gfn in before.pages if gfn not in cleared and after.pages[gfn] != before.pages[gfn]]
        os.pwrite(files.frames, whole[at : at + 1], at)


def test_a_full_disk_ends_the_save(files: Files) -> None:
    source: Any = guest()
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        save(source, source, FramesSink(full.fileno(), files.table, 1), (4, 17), 2)
    assert not source.mapped


def test_a_plain_pipe_has_no_holes() -> None:
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.close(reader)
        source: Any = FakeGuest({gfn: bytes(PAGE) for gfn in range(100)})
        save(source, source, PlainSink(writer, sparse=False), (4, 17), 2)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        assert len(stream.read()) > 100 * PAGE
    os.waitpid(child, 0)


def test_pages_that_change_while_they_are_compressed_make_whole_frames(files: Files) -> None:
    """Those of a running guest do, and those that a daemon shares with a suspended one."""
    memory = bytearray(b"".join(random.Random(SEED).randbytes(8) * 8 for _ in range(1 << 14)))  # a MiB
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ended = threading.Event()

    def change() -> None:
        number = 0
        while not ended.is_set():
            number = (number + 4099) % len(memory)
            memory[number] ^= 255

    changing = threading.Thread(target=change)
    changing.start()
    try:
        sink = FramesSink(files.frames, files.table, 1)
        pages = sink.pages()
        for _ in range(30):
            pages.make(b"head", address, len(memory) // PAGE)
            pages.put()
    finally:
        ended.set()
        changing.join()
    os.write(files.frames, seekable.encode(files.entries()))
    assert CompressedFile(files.frames).damaged() == []
