"""Sums of blocks: the same for passing bytes, for a file, and for a file that grows meanwhile."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.checkpoint import summed as summed_module
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.summed import SummedFile, SummedPipe, summed
from pyxl.checkpoint.sums import BlockReader, RunningSums
from pyxl.errors import TruncatedStream
from pyxl.formats.stream.trailer import BLOCK, XXH3_64, XXH64, block_sum
from tests.child import in_child

DATA = os.urandom(2 * BLOCK + 12345)
SUMS = [block_sum(DATA[at : at + BLOCK]) for at in range(0, len(DATA), BLOCK)]


@given(st.lists(st.integers(0, BLOCK + 1), max_size=5))
def test_sums_of_passing_bytes_do_not_depend_on_the_pieces(cuts: list[int]) -> None:
    running = RunningSums(XXH64)
    left = memoryview(DATA)
    for cut in cuts:
        running.add(bytes(left[:cut]))
        left = left[cut:]
    running.add(bytes(left))
    assert (running.all(XXH64), running.size) == (SUMS, len(DATA))


def test_whole_blocks_alone_have_no_sum_of_nothing_behind_them() -> None:
    running = RunningSums(XXH64)
    assert running.all(XXH64) == []
    running.add(DATA[:BLOCK])
    assert running.all(XXH64) == SUMS[:1]


def test_sums_that_nobody_needs_are_not_made_any_more() -> None:
    running = RunningSums(XXH3_64, XXH64)
    running.add(DATA[:100])
    running.keep(XXH3_64)
    running.add(DATA[100:])
    assert running.all(XXH3_64) == [block_sum(DATA[at : at + BLOCK], XXH3_64) for at in range(0, len(DATA), BLOCK)]


def test_a_reader_leaves_the_offset_and_finds_a_short_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        reader = BlockReader(file.fileno())
        assert [reader.sum(0, BLOCK), reader.sum(2 * BLOCK, 12345)] == [SUMS[0], SUMS[2]]
        assert file.tell() == 0
        with pytest.raises(TruncatedStream):
            reader.sum(2 * BLOCK, 12346)


@pytest.fixture
def new_file(tmp_path: Path) -> Iterator[NewFile]:
    with NewFile(tmp_path / "web1") as file:
        yield file


@pytest.mark.parametrize("piece", [100_000, BLOCK, len(DATA)])
def test_a_file_is_summed_while_another_process_appends_to_it(new_file: NewFile, piece: int) -> None:
    stream = summed(new_file)
    assert isinstance(stream, SummedFile)
    stream.write(DATA[:100])

    def helper() -> None:
        for at in range(100, len(DATA), piece):
            os.write(stream.fd, DATA[at : at + piece])
            time.sleep(0.001)  # lets the reader run in between

    in_child(helper)
    assert (stream.finish(), stream.size()) == (SUMS, len(DATA))


def test_blocks_are_summed_and_written_back_before_the_end(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int]] = []
    both = threading.Event()

    def begin(start: int, end: int) -> None:
        begun.append((start, end))
        if len(begun) == 2:
            both.set()

    monkeypatch.setattr(new_file, "start_writeback", begin)
    stream = SummedFile(new_file)
    stream.write(DATA)
    assert both.wait(10)
    assert begun == [(0, BLOCK), (BLOCK, 2 * BLOCK)]
    stream.close()


def test_what_the_thread_met_is_raised_at_the_end(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    met = threading.Event()

    def fail(*_: object) -> int:
        met.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(BlockReader, "sum", fail)
    stream = SummedFile(new_file)
    stream.write(DATA)
    assert met.wait(10)
    with pytest.raises(OSError, match="Input/output"):
        stream.finish()
    with pytest.raises(OSError, match="Input/output"):
        stream.check()


def test_a_disk_that_fails_shows_itself_before_the_end(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def fail() -> None:
        waiting.set()
        go_on.wait()
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(new_file, "sync", fail)
    monkeypatch.setattr("pyxl.checkpoint.summed._SYNC_BLOCKS", 2)
    stream = SummedFile(new_file)
    stream.write(DATA)
    assert waiting.wait(10)
    stream.check()
    go_on.set()
    stream.close()
    with pytest.raises(OSError, match="Read-only"):
        stream.check()


def test_a_disk_that_hangs_does_not_keep_an_undo(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        waiting.set()
        go_on.wait()

    monkeypatch.setattr(new_file, "sync", hang)
    monkeypatch.setattr("pyxl.checkpoint.summed._SYNC_BLOCKS", 1)
    monkeypatch.setattr("pyxl.checkpoint.summed.PATIENCE_SECONDS", 0.01)
    stream = SummedFile(new_file)
    stream.write(DATA)
    assert waiting.wait(10)
    stream.close()
    go_on.set()


def test_a_pipe_gets_all_in_order_and_is_summed(to_fifo: tuple[NewFile, int]) -> None:
    file, reader = to_fifo
    got: list[bytes] = []

    def drain() -> None:
        with os.fdopen(reader, "rb") as source:
            got.append(source.read())

    consumer = threading.Thread(target=drain)
    consumer.start()
    stream = summed(file)
    assert isinstance(stream, SummedPipe)
    stream.write(DATA[:100])
    in_child(lambda: os.write(stream.fd, DATA[100:-10]))
    stream.write(DATA[-10:])
    assert (stream.finish(), stream.size()) == (SUMS, len(DATA))
    file.write(b"trailer")
    stream.close()
    file.close()
    consumer.join()
    assert got == [DATA + b"trailer"]


def test_a_target_that_takes_no_more_is_why_writing_fails(to_fifo: tuple[NewFile, int]) -> None:
    file, reader = to_fifo
    stream = summed(file)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        for _ in range(100):
            stream.write(DATA)
    with pytest.raises(BrokenPipeError):
        stream.check()
    with pytest.raises(BrokenPipeError):
        stream.finish()


def test_a_consumer_that_does_not_read_cannot_hold_up_the_undo(
    to_fifo: tuple[NewFile, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summed_module, "PATIENCE_SECONDS", 0.01)
    file, reader = to_fifo
    stream = summed(file)
    stream.write(DATA[: 256 << 10])  # more than the consumer's pipe holds
    stream.close()
    stream.close()
    os.close(reader)
    with contextlib.suppress(BrokenPipeError):
        stream.finish()  # waits for the thread, which may fail in a write
