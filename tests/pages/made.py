"""Make checkpoints whose memory is known, of any size; as frames of zstd they take little disk and time."""

import functools
import gzip
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pyxl.checkpoint.zstd import Compressor
from pyxl.formats import seekable
from pyxl.formats.stream import libxc_records, trailer, walk, xl_header
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from tests.formats.stream.test_streams import Bytes

#: The real guest that lends its vcpus, devices and config: two vcpus, two disks.
REAL = Path(__file__).parents[1] / "golden" / "pyxl-hvm-2vcpus-disks.ckpt.gz"
IDENTITY = trailer.Identity(
    "6b1d9b2e-5c0a-4f0e-9b57-2f1f5a3c9d01", "web1", "2026-11-24T15:20:11Z", "host1", "4.17.7", "7.2.22", "0.5.0"
)
#: What a page is, as a letter: data, other data, zero, or not in the file.
DATA, OTHER, ZERO, NONE = "DEz-"
PAGES = {DATA: b"\1" * PAGE_SIZE, OTHER: b"\2" * PAGE_SIZE, ZERO: bytes(PAGE_SIZE)}
#: Pages of a record, and of a frame.
RECORD, FRAME = 1024, 512
GIB = 1 << 18
#: Where an HVM guest has no RAM.
HOLES = range(0xA0, 0xC0), range(0xF0000, 1 << 20)

#: Letters of pages, each text from a gfn on.
Memory = Iterable[tuple[int, str]]


def write(path: Path, memory: Memory, config: Mapping[str, Any], identity: trailer.Identity = IDENTITY) -> Path:
    """Write the real guest with this memory, another config and another identity, and return where."""
    real = gzip.decompress(REAL.read_bytes())
    source = Bytes(real)
    elements = list(walk.elements(source.take, source.skip))
    (pages,) = (each for each in elements if each.name == "PAGE_DATA")
    (start,) = (each for each in elements if each.title == "libxl HEADER")
    head = xl_header.encode(json.dumps(config).encode()) + real[start.offset : pages.offset]
    tail = real[pages.end : elements[-1].offset]
    table = []
    with path.open("wb") as out:

        def add(frame: bytes, size: int) -> None:
            out.write(frame)
            table.append((len(frame), size))

        add(*_frame(head))
        for gfn, letters in memory:
            for at in range(0, len(letters), RECORD):
                for frame in _record(gfn + at, letters[at : at + RECORD]):
                    add(*frame)
        add(*_frame(tail))
        covered = sum(size for _, size in table)
        add(*_frame(trailer.encode(trailer.Trailer(covered, [], identity, trailer.NONE))))
        out.write(seekable.encode(table))
    return path


def config(mib: int, name: str = "web1") -> dict[str, Any]:
    """Return the real guest's config with this much memory and this name."""
    real = gzip.decompress(REAL.read_bytes())
    source = Bytes(real)
    found: dict[str, Any] = json.loads(xl_header.parse(source.take).config.decode())
    found["c_info"] |= {"name": name, "uuid": IDENTITY.uuid}
    found["b_info"] |= {
        "max_memkb": 1024 * mib, "target_memkb": 1024 * mib, "cmdline": "root=/dev/xvda1 ro quiet",
        "kernel": "/srv/web1/vmlinuz", "ramdisk": "/srv/web1/initrd",
    }  # fmt: skip
    for disk, path in zip(found["disks"], ("/srv/web1/root.raw", "/srv/web1/data.qcow2"), strict=True):
        disk["pdev_path"] = path
    return found


def lively(mib: int, seed: int = 1) -> Iterator[tuple[int, str]]:
    """Yield the memory of a guest that has run for a while: data thins out to zeros, and a part is ballooned out."""
    draw = random.Random(seed)
    for at in range(0, mib << 8, FRAME):
        gfn = at if at < HOLES[1].start else at + len(HOLES[1])
        used = 1 - at / (mib << 8)
        weights = (0.9, 0.1, 0) if draw.random() < used else (0, 1, 0) if draw.random() < 0.6 else (0.1, 0.1, 0.8)
        stretch = 32 if draw.random() < 0.5 else 128
        letters = "".join(draw.choices((DATA, ZERO, NONE), weights)[0] * stretch for _ in range(FRAME // stretch))
        if not gfn:
            letters = letters[: HOLES[0].start] + NONE * len(HOLES[0]) + letters[HOLES[0].stop :]
        yield gfn, letters


def changed(memory: Memory, seed: int = 2) -> Iterator[tuple[int, str]]:
    """Yield the memory an hour later: some pages have other data, some are new or gone."""
    draw = random.Random(seed)
    for gfn, letters in memory:
        pages = list(letters)
        if draw.random() < 0.3:
            at, count = draw.randrange(len(pages)), draw.choice((4, 32, 128))
            if letters[at] in (DATA, ZERO):
                pages[at : at + count] = draw.choice((OTHER, OTHER, NONE)) * len(pages[at : at + count])
            elif gfn:
                pages[at : at + count] = DATA * len(pages[at : at + count])
        yield gfn, "".join(pages)


def _record(gfn: int, letters: str) -> Iterator[tuple[bytes, int]]:
    """Yield the frames of a PAGE_DATA record; none where all its pages are absent."""
    words = tuple(gfn + at for at, letter in enumerate(letters) if letter != NONE)
    if words:
        yield _frame(libxc_records.encode_page_head(libxc_records.PageData(words)))
        there = letters.replace(NONE, "")
        for at in range(0, len(there), FRAME):
            yield _pages(there[at : at + FRAME])


@functools.lru_cache(256)
def _pages(letters: str) -> tuple[bytes, int]:
    return _frame(b"".join(PAGES[letter] for letter in letters))


def _frame(content: bytes) -> tuple[bytes, int]:
    return bytes(Compressor(1, len(content)).frame(content)), len(content)
