"""A checkpoint is checked while it is read: a bad one ends early for its reader, and the reason is reported once."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pyxl.checkpoint import passed_on
from pyxl.checkpoint.checked import CheckedFile, CheckedPipe, checked
from pyxl.checkpoint.decompressed import DecompressedFile
from pyxl.checkpoint.passed_on import PassedOn
from pyxl.checkpoint.source import Source
from pyxl.errors import BadRecord, StreamError, TruncatedStream
from pyxl.formats.stream import libxl_v2, record, trailer, xl_header
from pyxl.formats.stream.trailer import BLOCK
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes

#: Some 20 MiB, in records like those of a save.
MEMORY = b"".join(record.encode(0x01, os.urandom(1 << 20)) for _ in range(20))
PLAIN = streams.checkpoint(streams.libxc_stream(records=MEMORY), marked=True)
WHOLE = streams.summed(PLAIN)
XL_S = streams.checkpoint(streams.libxc_stream(records=MEMORY))


def changed(offset: int) -> bytes:
    return WHOLE[:offset] + bytes([WHOLE[offset] ^ 1]) + WHOLE[offset + 1 :]


@pytest.fixture(params=["file", "pipe", "compressed file", "compressed pipe"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(kind: str, tmp_path: Path) -> Iterator["Opened"]:
    with Opened(kind, tmp_path / "web1") as opener:
        yield opener


class Opened:
    """Opens bytes as a checkpoint, from a file or from a pipe that a thread writes to, and compressed or not."""

    def __init__(self, kind: str, path: Path) -> None:
        self._kind = kind
        self.is_compressed = kind.startswith("compressed")
        self._path = path
        self._fds: list[int] = []
        self._streams: list[CheckedFile | CheckedPipe | DecompressedFile] = []
        self._senders: list[threading.Thread] = []

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()
        for fd in self._fds:
            os.close(fd)
        for sender in self._senders:
            sender.join()

    def __call__(self, data: bytes) -> CheckedFile | CheckedPipe | DecompressedFile:
        if self.is_compressed:
            data = streams.compressed(data)
        if self._kind.endswith("file"):
            self._path.write_bytes(data)
            fd = os.open(self._path, os.O_RDONLY)
        else:
            fd, writer = os.pipe()
            self._senders.append(threading.Thread(target=send, args=(writer, data), daemon=True))
            self._senders[-1].start()
        self._fds.append(fd)
        source = Source(fd)
        self._streams.append(checked(source, xl_header.parse(source.take)))
        return self._streams[-1]


def send(writer: int, data: bytes) -> None:
    try:
        with os.fdopen(writer, "wb") as sink:
            sink.write(data)
    except BrokenPipeError:
        pass  # the reader is done


def read_to_the_end(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(("data", "end"), [(WHOLE, len(PLAIN)), (XL_S, len(XL_S))], ids=["pyxl's", "xl's"])
def test_a_whole_one_is_read_from_its_stream_on(opened: Opened, data: bytes, end: int) -> None:
    stream = opened(data)
    stream.start()
    header = xl_header.parse(Bytes(data).take)
    assert read_to_the_end(stream.fd).startswith(data[header.size : end])
    stream.result()
    assert (stream.trailer is not None) == stream.is_summed == (data is WHOLE)
    stream.close()
    stream.close()


def test_a_pipe_ends_for_libxl_where_the_trailer_begins(tmp_path: Path) -> None:
    with Opened("pipe", tmp_path) as opened:
        stream = opened(WHOLE)
        stream.start()
        assert PLAIN.endswith(read_to_the_end(stream.fd))


def test_a_changed_block_of_a_file_ends_it_for_who_reads(tmp_path: Path) -> None:
    with Opened("file", tmp_path / "web1") as opened:
        stream = opened(changed(3 * BLOCK + 99))
        stream.start()
        os.read(stream.fd, 1000)
        with pytest.raises(BadRecord, match="block 4 of 6 is not what was saved") as caught:
            stream.result()
        assert caught.value.offset == 3 * BLOCK
        assert read_to_the_end(stream.fd) == b""
        with pytest.raises(BadRecord):
            stream.check()


def test_a_changed_block_of_a_pipe_is_told_when_it_has_ended(tmp_path: Path) -> None:
    with Opened("pipe", tmp_path) as opened:
        stream = opened(changed(3 * BLOCK + 99))
        stream.start()
        read_to_the_end(stream.fd)
        with pytest.raises(BadRecord, match="block 4 of 6 is not what was saved"):
            stream.result()
        assert stream.trailer is None


def test_a_changed_config_of_a_file_is_found_before_anything_is_built(tmp_path: Path) -> None:
    with Opened("file", tmp_path / "web1") as opened, pytest.raises(BadRecord, match="block 1 of 6"):
        opened(changed(80))


def test_what_is_written_over_before_libxl_comes_to_it_is_found(tmp_path: Path) -> None:
    with Opened("file", tmp_path / "web1") as opened:
        stream = opened(WHOLE)
        stream.start()
        os.read(stream.fd, 2 * BLOCK)
        with open(tmp_path / "web1", "r+b") as file:
            file.seek(4 * BLOCK + 4321)
            file.write(b"something else")
        read_to_the_end(stream.fd)
        with pytest.raises(BadRecord, match="block 5 of 6"):
            stream.result()


def test_a_file_is_checked_to_its_end_though_nobody_reads_it(tmp_path: Path) -> None:
    with Opened("file", tmp_path / "web1") as opened:
        stream = opened(changed(5 * BLOCK - 1))
        stream.start()
        with pytest.raises(BadRecord, match="block 5 of 6"):
            stream.result()


def test_a_damaged_frame_ends_the_stream_before_libxl_gets_any_of_it(tmp_path: Path) -> None:
    with Opened("compressed file", tmp_path / "web1") as opened:
        whole = streams.summed(PLAIN, algorithm=trailer.NONE)
        stream = opened(whole)
        with open(tmp_path / "web1", "r+b") as file:  # these records are small: a look at all heads would find it
            file.seek(9 << 20)
            file.write(b"something else")
        stream.start()
        got = read_to_the_end(stream.fd)
        assert whole.find(got) > 0
        assert len(got) < 8 << 20
        with pytest.raises(BadRecord, match=r"frame 5 of 11, at byte \d+ of the compressed file, is not what was saved"):
            stream.result()


def test_the_frames_are_the_sums_of_a_compressed_file(opened: Opened) -> None:
    """In a plain one there are none."""
    stream = opened(streams.summed(PLAIN, algorithm=trailer.NONE))
    stream.start()
    read_to_the_end(stream.fd)
    stream.result()
    assert stream.is_summed == opened.is_compressed


def test_sums_in_a_file_that_somebody_compressed_are_compared(tmp_path: Path) -> None:
    with Opened("compressed file", tmp_path / "web1") as opened:
        stream = opened(changed(3 * BLOCK + 99))
        stream.start()
        read_to_the_end(stream.fd)
        with pytest.raises(BadRecord, match="block 4 of 6 is not what was saved"):
            stream.result()


def test_threads_that_wait_for_libxl_end_with_the_restore(tmp_path: Path) -> None:
    with Opened("compressed file", tmp_path / "web1") as opened:
        stream = opened(WHOLE)
        stream.start()
        assert os.read(stream.fd, 100)
        stream.close()
        with suppress(BrokenPipeError):  # one may have been about to write
            stream.result()


def test_a_cut_file_is_refused_at_once(tmp_path: Path) -> None:
    with Opened("file", tmp_path / "web1") as opened:
        for length in (len(PLAIN) - 1, len(PLAIN), len(WHOLE) - 1):
            with pytest.raises(TruncatedStream):
                opened(WHOLE[:length])


@pytest.mark.parametrize("length", [10 * (1 << 20), len(PLAIN), len(WHOLE) - 1])
def test_a_pipe_that_ends_too_early_ends_for_libxl_too(tmp_path: Path, length: int) -> None:
    with Opened("pipe", tmp_path) as opened:
        stream = opened(WHOLE[:length])
        stream.start()
        assert WHOLE[:length].find(read_to_the_end(stream.fd)) > 0
        with pytest.raises(TruncatedStream):
            stream.result()


def test_a_reader_that_fails_lets_the_pipe_s_thread_end(tmp_path: Path) -> None:
    with Opened("pipe", tmp_path) as opened:
        stream = opened(WHOLE)
        stream.start()
        os.read(stream.fd, 1000)
        stream.close()
        with pytest.raises(BrokenPipeError):
            stream.result()


def test_a_restore_that_is_called_off_meets_the_end(opened: Opened) -> None:
    stream = opened(WHOLE)
    stream.start()
    os.read(stream.fd, 1000)
    stream.cut()
    assert len(read_to_the_end(stream.fd)) <= 3 << 20  # what the pipe holds, and one write


def test_libxl_meets_no_end_before_it_is_at_the_memory(opened: Opened) -> None:
    """An earlier end kills libxl's process; a pipe is read that far before libxl starts."""
    stream = opened(WHOLE)
    stream.start()
    start = b""
    while len(start) < len(libxl_v2.start()):
        assert stream.cut() == isinstance(stream, PassedOn)
        start += os.read(stream.fd, 8)
    assert start == libxl_v2.start()
    assert stream.cut()
    assert len(read_to_the_end(stream.fd)) <= 3 << 20


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "ends 16 bytes too early"), (libxl_v2.start()[:20], "ends 4 bytes too early"), (bytes(24), "without its ident"),
     (libxl_v2.HEADER.pack(libxl_v2.IDENT, 2, 0) + libxl_v2.end(), "END before LIBXC_CONTEXT")],
    ids=["empty", "cut", "another's", "no memory"],
)  # fmt: skip
def test_a_pipe_that_is_bad_before_its_memory_never_comes_to_libxl(tmp_path: Path, data: bytes, said: str) -> None:
    header = xl_header.parse(Bytes(WHOLE).take)
    with Opened("pipe", tmp_path) as opened:
        stream = opened(WHOLE[: header.size] + data)
        with pytest.raises(StreamError, match=said):
            stream.start()


def test_a_silent_sender_cannot_hold_up_the_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passed_on, "PATIENCE_SECONDS", 0.01)
    reader, writer = os.pipe()
    os.write(writer, PLAIN[:1000])
    source = Source(reader)
    stream = checked(source, xl_header.parse(source.take))
    stream.start()
    stream.cut()
    stream.close()
    os.close(writer)
    with pytest.raises(TruncatedStream):
        stream.result()
    os.close(reader)


def test_a_pipe_that_nobody_began_to_read_leaves_no_descriptor() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    reader, writer = os.pipe()
    os.write(writer, PLAIN[:1000])
    source = Source(reader)
    stream = checked(source, xl_header.parse(source.take))
    stream.close()
    os.close(reader)
    os.close(writer)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
