"""The memory engine on a fake guest: what it writes is a stream of libxc's, and makes the same guest again."""

import ctypes
import os
import random
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import BadRecord, PyxlError, TruncatedStream, UnsupportedStream, XenError
from pyxl.formats.stream import libxc_v2, record
from pyxl.memory.restore import Restore, Ring
from pyxl.memory.save import save
from pyxl.memory.sinks import PlainSink
from pyxl.memory.sources import CutOff, PlainSource
from pyxl.memory.zeros import data_runs
from tests.fakes.guest import PAGE, FakeGuest

SEED = 14


def guest() -> FakeGuest:
    """Two superpages, a few pages on both sides of a hole, and the special pages; half of all are zero."""
    chance = random.Random(SEED)
    gfns = [*range(0x9C), *range(0xC0, 1500), *range(0x2FF0, 0x3000)]
    pages = {gfn: chance.randbytes(PAGE) if chance.random() < 0.5 else bytes(PAGE) for gfn in gfns}
    pages |= {gfn: bytes(PAGE) for gfn in range(700, 1100)}
    return FakeGuest(pages)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "stream", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def saved(source: Any, fd: int, *, sparse: bool = True, threads: int = 3) -> bytes:
    os.write(fd, b"in front")
    save(source, source, PlainSink(fd, sparse), (4, 17), threads)
    assert not source.mapped
    os.lseek(fd, len(b"in front"), os.SEEK_SET)
    return os.pread(fd, 1 << 30, len(b"in front"))


def restored(fd: int, target: Any, *, threads: int = 3, missing: list[int] | None = None) -> tuple[int, int]:
    store, console = Ring(3, 0), Ring(4, 5)

    def static_data_done(what: int) -> int:
        if missing is not None:
            missing.append(what)
        return 0

    Restore(target, target, PlainSource(fd), store, console, static_data_done).run(threads)
    assert not target.mapped
    return store.gfn, console.gfn


@pytest.mark.parametrize("sparse", [True, False])
def test_a_guest_comes_back_as_it_was(file: int, sparse: bool) -> None:
    before, after = guest(), FakeGuest()
    stream, missing = saved(before, file, sparse=sparse), list[int]()
    assert restored(file, after, missing=missing) == (0x2FFC, 0x2FFF)
    cleared = {0x2FFC, 0x2FFF}
    assert after.pages.keys() == before.pages.keys()
    assert not [gfn for gfn in before.pages if gfn not in cleared and after.pages[gfn] != before.pages[gfn]]
    assert missing == [0]
    assert os.lseek(file, 0, os.SEEK_CUR) == len(b"in front") + len(stream)
    assert [call for call in after.calls if call[0] != "populate"] == [
        ("policy", *before.policy()), ("tsc", *before.tsc()),
        ("clear", 0x2FFC), ("param", 1, 0x2FFC), ("clear", 0x2FFF), ("param", 17, 0x2FFF), ("param", 9, 3),
        ("param", 2, 3), ("param", 18, 4), ("context", b"context"), ("grants", (0x2FFF, 5), (0x2FFC, 0)),
    ]  # fmt: skip
    assert ("populate", 512, 512, 9) in after.calls


def test_a_stream_is_the_same_however_many_threads_write_it_and_with_holes_or_without(tmp_path: Path) -> None:
    streams = set()
    for number, (sparse, threads) in enumerate([(True, 1), (True, 4), (False, 4)]):
        fd = os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT)
        streams.add(saved(guest(), fd, sparse=sparse, threads=threads))
        os.close(fd)
    assert len(streams) == 1
    sizes = [(tmp_path / name).stat().st_blocks for name in "02"]
    assert sizes[0] < 0.8 * sizes[1]


def test_the_file_is_never_shorter_than_its_offset(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sums the file reads up to the offset."""
    real = os.lseek

    def lseek(fd: int, offset: int, whence: int) -> int:
        found = real(fd, offset, whence)
        assert found <= os.fstat(fd).st_size
        return found

    monkeypatch.setattr(os, "lseek", lseek)
    saved(guest(), file)


@pytest.mark.parametrize("sparse", [True, False])
def test_broken_pages_are_named_and_left_out(file: int, sparse: bool) -> None:
    before, after = guest(), FakeGuest()
    before.broken = {5, *range(0x2FF0, 0x2FFC)}  # of one batch nothing else is there
    for gfn in range(0x2FFC, 0x3000):
        del before.pages[gfn]
    saved(before, file, sparse=sparse)
    restored(file, after)
    assert before.pages.keys() - after.pages.keys() == before.broken


def test_without_superpages_small_ones_do(file: int) -> None:
    before, after = guest(), FakeGuest()
    after.superpages = False
    saved(before, file)
    restored(file, after)
    assert after.pages.keys() == before.pages.keys()


def test_a_page_that_comes_again_has_its_last_content(file: int) -> None:
    """As in a live stream: each record overwrites pages of those before it."""
    head = libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, 2, 0, 0, 0) + libxc_v2.DOMAIN.pack(2, 12, 0, 4, 13)
    rounds = [
        record.encode(1, struct.pack("<II4Q", 4, 0, *range(4)) + bytes([number]) * 4 * PAGE) for number in range(1, 9)
    ]
    os.write(file, head + b"".join(rounds) + record.encode(0))
    os.lseek(file, 0, os.SEEK_SET)
    after, missing = FakeGuest(), list[int]()
    restored(file, after, missing=missing)
    assert after.pages == {gfn: bytearray([8]) * PAGE for gfn in range(4)}
    assert missing == [3], "a stream of version 2 has neither policy"


def test_a_guest_that_gets_no_memory_fails_with_the_frame(file: int) -> None:
    saved(guest(), file)
    with pytest.raises(PyxlError, match="Xen has no memory for gfn 0x"):
        restored(file, FakeGuest(room=1000))


def test_every_cut_is_seen(file: int) -> None:
    stream = saved(guest(), file)
    chance = random.Random(SEED)
    for cut in [0, 10, 40, len(stream) - 1, *(chance.randrange(len(stream)) for _ in range(40))]:
        os.ftruncate(file, len(b"in front") + cut)
        os.lseek(file, len(b"in front"), os.SEEK_SET)
        with pytest.raises(TruncatedStream):
            restored(file, FakeGuest())
        os.pwrite(file, stream, len(b"in front"))


@pytest.mark.parametrize(
    ("records", "error", "said"),
    [
        (record.encode(1, struct.pack("<IIQ", 1, 0, 0)), BadRecord, "pages before the end of the static data"),
        (record.encode(0x10) + record.encode(1, struct.pack("<II", 0, 0)), BadRecord, "PAGE_DATA of 0 pages"),
        (record.encode(0x10) + record.encode(1, struct.pack("<IIQ", 1, 0, 0)), BadRecord, "16 bytes for 1 pages"),
        (record.encode(0x10) + record.encode(1, struct.pack("<IIQ", 1, 0, 5 << 60)), BadRecord, "page word"),
        (record.encode(0x10) * 2, UnsupportedStream, "STATIC_DATA_END"),
        (record.encode(0x0E), UnsupportedStream, "CHECKPOINT"),
        (struct.pack("<II", 9, 129 << 20), BadRecord, "claims"),
        (record.encode(0x0A, struct.pack("<II", 2, 0)), BadRecord, "2 HVM params in 8 bytes"),
    ],
)
def test_a_bad_stream_is_refused(file: int, records: bytes, error: type[PyxlError], said: str) -> None:
    head = libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, 3, 0, 0, 0) + libxc_v2.DOMAIN.pack(2, 12, 0, 4, 17)
    os.write(file, head + records + record.encode(0))
    os.lseek(file, 0, os.SEEK_SET)
    with pytest.raises(error, match=said):
        restored(file, FakeGuest())


def test_an_unknown_optional_record_is_passed_over(file: int) -> None:
    head = libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, 3, 0, 0, 0) + libxc_v2.DOMAIN.pack(2, 12, 0, 4, 17)
    os.write(file, head + record.encode(0x8000_0001, b"later") + record.encode(0x10) + record.encode(0))
    os.lseek(file, 0, os.SEEK_SET)
    restored(file, FakeGuest())


def test_a_toolstack_that_moves_the_offset_ends_the_restore(file: int) -> None:
    saved(guest(), file)
    after = FakeGuest()

    def cut(_: int) -> int:
        os.lseek(file, 0, os.SEEK_END)
        return 0

    with pytest.raises(CutOff):
        Restore(after, after, PlainSource(file), Ring(1, 0), Ring(2, 0), cut).run(2)  # type: ignore[arg-type]


def test_a_page_that_cannot_be_mapped_ends_the_save_and_leaves_nothing_mapped(file: int) -> None:
    class Shrinking(FakeGuest):
        def map(self, gfns: bytes, access: int) -> int:
            self.pages.pop(600, None)
            return super().map(gfns, access)

    source: Any = Shrinking({gfn: bytes(page) for gfn, page in guest().pages.items()})
    with pytest.raises(XenError, match="gfn 0x258"):
        save(source, source, PlainSink(file, sparse=True), (4, 17), 3)
    assert not source.mapped


def test_a_full_disk_ends_the_save() -> None:
    source: Any = guest()
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        save(source, source, PlainSink(full.fileno(), sparse=False), (4, 17), 3)
    assert not source.mapped


def test_zero_pages_are_found_wherever_they_are() -> None:
    chance = random.Random(SEED)
    for _ in range(50):
        wanted = [chance.random() < chance.choice([0.01, 0.5, 0.99]) for _ in range(chance.randrange(1, 700))]
        memory = bytearray(b"".join(b"\0" * 4095 + b"x" if full else bytes(PAGE) for full in wanted))
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        runs = data_runs(address, len(wanted))
        kept = {page for first, count in runs for page in range(first, first + count)}
        assert {page for page, full in enumerate(wanted) if full} <= kept
        assert len(kept) <= 4 * sum(wanted)
        assert all(sum(run) < following[0] for run, following in pairwise(runs))
