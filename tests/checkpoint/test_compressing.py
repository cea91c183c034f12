"""A checkpoint that is compressed while it is written: what it holds, how it fails, and which level it takes."""

import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.checkpoint import compressing as module
from pyxl.checkpoint import pace
from pyxl.checkpoint.compressing import FRAME, Compressing
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.pace import LEVELS, next_level
from pyxl.checkpoint.source import Source
from pyxl.formats.stream import trailer
from pyxl.formats.stream.trailer import Identity
from pyxl.model.compression import Compression
from tests.child import in_child
from tests.formats.stream.test_streams import Bytes

IDENTITY = Identity(name="web1")
DATA = os.urandom(FRAME // 2) + bytes(3 * FRAME) + random.Random(1).randbytes(1000) * 5000
TRAILER = trailer.encode(trailer.Trailer(len(DATA), (), IDENTITY, trailer.NONE))


@pytest.fixture
def new_file(tmp_path: Path) -> Iterator[NewFile]:
    with NewFile(tmp_path / "web1") as file:
        yield file


def content(fd: int) -> bytes:
    source = Source(fd)
    assert source.compressed is not None
    assert source.compressed.damaged() == []
    return source.read(0, source.size)


@pytest.mark.parametrize(("level", "threads"), [(None, None), (3, 1), (-7, 3)])
def test_what_this_process_and_another_write_is_held_in_order(
    new_file: NewFile, level: int | None, threads: int | None
) -> None:
    stream = Compressing(new_file, Compression(level, threads))
    stream.write(DATA[:100])

    def helper() -> None:
        for at in range(100, len(DATA) - 10, 77_777):
            os.write(stream.fd, DATA[at : min(at + 77_777, len(DATA) - 10)])

    in_child(helper)
    stream.write(DATA[-10:])
    assert stream.end(IDENTITY) == len(DATA) + len(TRAILER)
    assert content(new_file.fd) == DATA + TRAILER
    assert (stream.size(), stream.stored()) == (len(DATA), os.fstat(new_file.fd).st_size)
    stream.close()
    stream.close()


@given(size=st.sampled_from([0, 1, FRAME - 1, FRAME, FRAME + 1]))
def test_any_size_comes_back(size: int) -> None:
    fd = os.memfd_create("new")
    with NewFile(fd) as file:
        stream = Compressing(file, Compression(1, 1))
        stream.write(DATA[:size])
        stream.end(IDENTITY)
        stream.close()
    whole = content(fd)
    os.close(fd)
    assert whole[:size] == DATA[:size]
    assert trailer.parse(Bytes(whole[size:]).take, 0 if size == 0 else size)[:3] == (size, (), IDENTITY)


def test_zstd_s_program_makes_the_plain_file_of_it(new_file: NewFile) -> None:
    stream = Compressing(new_file, Compression())
    stream.write(DATA)
    stream.end(IDENTITY)
    stream.close()
    assert new_file.temporary is not None
    done = subprocess.run(["zstd", "-dc", new_file.temporary], capture_output=True, check=True)
    assert done.stdout == DATA + TRAILER


def test_a_pipe_gets_what_a_file_gets(to_fifo: tuple[NewFile, int]) -> None:
    file, reader = to_fifo
    got: list[bytes] = []

    def drain() -> None:
        with os.fdopen(reader, "rb") as source:
            got.append(source.read())

    consumer = threading.Thread(target=drain)
    consumer.start()
    stream = Compressing(file, Compression())
    stream.write(DATA)
    stream.end(IDENTITY)
    stream.close()
    file.close()
    consumer.join()
    fd = os.memfd_create("got")
    os.write(fd, got[0])
    assert content(fd) == DATA + TRAILER
    os.close(fd)


def test_a_target_that_takes_no_more_is_why_writing_fails(to_fifo: tuple[NewFile, int]) -> None:
    file, reader = to_fifo
    stream = Compressing(file, Compression(1, 2))
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        for _ in range(100):
            stream.write(DATA)
    for step in (stream.check, lambda: stream.end(IDENTITY)):
        with pytest.raises(BrokenPipeError):
            step()
    stream.close()


def test_a_full_disk_ends_the_save_of_another_process_too(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_all", full)
    stream = Compressing(new_file, Compression(1, 2))

    def helper() -> None:
        os.close(stream._from_writer)  # as the save-helper has not got it
        with contextlib.suppress(BrokenPipeError):
            while True:
                os.write(stream.fd, bytes(FRAME))

    in_child(helper)
    with pytest.raises(OSError, match="No space left"):
        stream.check()
    with pytest.raises(OSError, match="No space left"):
        stream.end(IDENTITY)
    stream.close()


def test_a_disk_that_fails_later_ends_it(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(pace, "_SYNC", 1000)
    stream = Compressing(new_file, Compression())
    with pytest.raises(OSError, match="Read-only"):
        for _ in range(100):
            stream.write(DATA)
    with pytest.raises(OSError, match="Read-only"):
        stream.end(IDENTITY)
    stream.close()


def test_a_disk_that_hangs_does_not_keep_an_undo(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def hang(_: int) -> None:
        waiting.set()
        go_on.wait()

    monkeypatch.setattr(os, "fsync", hang)
    monkeypatch.setattr(pace, "_SYNC", 1000)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    stream = Compressing(new_file, Compression(1, 1))
    stream.write(DATA[:FRAME])
    assert waiting.wait(10)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 2
    go_on.set()


def test_a_slow_target_slows_the_writer(to_fifo: tuple[NewFile, int]) -> None:
    """What is taken in before the target has taken anything is bounded."""
    file, reader = to_fifo
    stream = Compressing(file, Compression(1, 1))
    os.set_blocking(stream.fd, False)
    noise = os.urandom(1 << 20)
    written = 0
    last = time.monotonic()
    while time.monotonic() - last < 0.3:
        with contextlib.suppress(BlockingIOError):
            written += os.write(stream.fd, noise)
            last = time.monotonic()
    assert written <= 4 * FRAME + (2 << 20)
    os.close(reader)
    stream.close()


@pytest.mark.parametrize(
    ("level", "disk", "source", "then"),
    [(1, 0.0, 0.1, -1), (-1, 0.0, 0.1, -2), (-5, 0.0, 0.1, -5), (1, 0.9, 0.0, 2), (-1, 0.9, 0.0, 1), (3, 1.0, 0.0, 3),
     (1, 0.1, 0.8, 1), (-3, 0.5, 0.6, -3)],
)  # fmt: skip
def test_the_level_follows_what_is_slowest(level: int, disk: float, source: float, then: int) -> None:
    assert next_level(level, 1.0, disk, source) == then
    assert then in LEVELS


@pytest.mark.parametrize(("wait", "level"), [(0.03, 3), (0.0, -5)])
def test_a_slow_disk_gets_smaller_frames_and_a_fast_one_sooner(
    new_file: NewFile, monkeypatch: pytest.MonkeyPatch, wait: float, level: int
) -> None:
    monkeypatch.setattr(module, "FRAME", 1 << 16)
    monkeypatch.setattr(pace, "_SYNC", 1)
    monkeypatch.setattr(pace, "_LOOK_BYTES", 2 << 16)
    monkeypatch.setattr(os, "fsync", lambda _: time.sleep(wait))
    stream = Compressing(new_file, Compression(None, 1))
    text = b"".join(b"%d of %d\n" % (at, at * at) for at in range(3000))[: 1 << 16]
    for _ in range(30):
        stream.write(text)
    stream.end(IDENTITY)
    assert (stream.pace.level == level) if wait else stream.pace.level in LEVELS
    stream.close()


def test_a_level_that_was_given_stays(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_LOOK_BYTES", 1)
    monkeypatch.setattr(pace, "_SYNC", 1)
    stream = Compressing(new_file, Compression(2, 1))
    stream.write(DATA)
    stream.end(IDENTITY)
    assert stream.pace.level == 2
    stream.close()
