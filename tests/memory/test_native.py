"""The save-helper's own program with the memory engine, on a guest of 256 MiB, without Xen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.checkpoint.framed import Framed
from pyxl.checkpoint.new_file import NewFile
from pyxl.formats.stream import libxc_v2
from pyxl.formats.stream.trailer import Identity
from pyxl.memory.save import PARAMS, RECORD
from pyxl.model.compression import Compression
from pyxl.model.engine import SPARSE
from tests import standin
from tests.standin import guest

MIB = 256
PAGE, HOLE = guest.PAGE, range(0xA0, 0xC0)
#: Pages of its rings, which a restore clears.
RINGS = ((MIB << 8) - 4, (MIB << 8) - 1)
#: Bytes that are compared at once.
STEP = 4 << 20


@pytest.fixture(scope="module")
def memory() -> Iterator[int]:
    fd = guest.filled(MIB)
    for gfn in (*HOLE, *RINGS):
        os.pwrite(fd, bytes(PAGE), gfn * PAGE)
    yield fd
    os.close(fd)


@pytest.fixture(scope="module")
def stream(memory: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    fd = os.open(tmp_path_factory.mktemp("native") / "stream", os.O_RDWR | os.O_CREAT)
    standin.save(memory, SPARSE, fd)
    yield fd
    os.close(fd)


def test_a_guest_is_saved_page_by_page_and_comes_back(memory: int, stream: int) -> None:
    gfns: list[int] = []
    for words, pages in records(stream):
        assert pages == b"".join(os.pread(memory, PAGE, gfn * PAGE) for gfn in words)
        gfns += words
    assert gfns == [gfn for gfn in range(MIB << 8) if gfn not in HOLE]
    assert os.fstat(stream).st_blocks * 512 < 0.4 * (MIB << 20)

    os.lseek(stream, 0, os.SEEK_SET)
    comes_back(memory, "", stream)


def test_a_guest_is_compressed_and_comes_back(memory: int, tmp_path: Path) -> None:
    file = NewFile(tmp_path / "file")
    stream = Framed(file, Compression(1))
    taken = standin.save(memory, stream.words, *stream.fds)
    assert stream.end(Identity()) > MIB << 20
    assert stream.stored() < 0.2 * (MIB << 20)
    assert taken.memory < 64
    stand_in = os.memfd_create("stand-in")
    os.ftruncate(stand_in, stream.size())
    comes_back(memory, f"frames=/proc/{os.getpid()}/fd/{file.fd}", stand_in)
    os.close(stand_in)
    stream.close()
    file.close()


def test_the_helper_says_what_failed(stream: int) -> None:
    os.lseek(stream, 0, os.SEEK_SET)
    small = os.memfd_create("small")
    os.ftruncate(small, (MIB << 20) // 2)
    with pytest.raises(standin.Failed, match="Xen has no memory for gfn 0x8000 and 511 more"):
        standin.restore(small, "", stream)
    os.close(small)


def comes_back(memory: int, words: str, stream: int) -> None:
    """Restore a domain, and compare its memory with that which was saved."""
    new = os.memfd_create("new")
    os.ftruncate(new, MIB << 20)
    taken = standin.restore(new, words, stream)
    assert all(os.pread(new, STEP, at) == os.pread(memory, STEP, at) for at in range(0, MIB << 20, STEP))
    assert taken.memory < 64
    os.close(new)


def records(stream: int) -> Iterator[tuple[list[int], bytes]]:
    """Yield the gfns and the pages of each PAGE_DATA record."""
    at = libxc_v2.IMAGE.size + libxc_v2.DOMAIN.size
    while True:
        kind, length = RECORD.unpack(os.pread(stream, RECORD.size, at))
        at += RECORD.size
        if kind == libxc_v2.END:
            return
        if kind == libxc_v2.PAGE_DATA:
            body = os.pread(stream, length, at)
            end = PARAMS.size + 8 * PARAMS.unpack_from(body)[0]
            yield list(memoryview(body[PARAMS.size : end]).cast("Q")), body[end:]
        at += length + -length % 8
