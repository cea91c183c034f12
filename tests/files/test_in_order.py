"""`pyxl convert` of a current checkpoint: each page once, in the order of the guest, and all else as it was."""

import random
import struct
from pathlib import Path

import pytest

from pyxl.checkpoint.source import Source
from pyxl.errors import OperationError
from pyxl.files.convert import convert_file
from pyxl.files.verify import verify
from pyxl.formats.stream import record, trailer, walk
from pyxl.formats.stream.trailer import Identity
from pyxl.model.report import Report
from tests.formats.stream import streams
from tests.formats.stream.streams import PAGE, STATIC_DATA_END

IDENTITY = Identity(uuid="6b1d9b2e-0000-4000-8000-000000000001", name="web1", saved="2026-11-26T10:00:00Z", host="there")
TAIL = record.encode(0x09, streams.CONTEXT)


def pages(gfns: list[int], content: int) -> bytes:
    head = struct.pack("<II", len(gfns), 0) + b"".join(struct.pack("<Q", gfn) for gfn in gfns)
    return record.encode(0x01, head + b"".join(struct.pack("<QQ", gfn, content) * (PAGE // 16) for gfn in gfns))


def live() -> tuple[bytes, dict[int, int]]:
    """Return the file of a live save of 3,000 pages in rounds, and which round each page is of."""
    chance = random.Random(15)
    last: dict[int, int] = {}
    records = []
    everything = [gfn for gfn in range(3600) if gfn % 6]
    for number, share in enumerate((1, 0.2, 0.01)):
        sent = [gfn for gfn in everything if chance.random() < share]
        records += [pages(sent[at : at + 700], number) for at in range(0, len(sent), 700)]
        last |= dict.fromkeys(sent, number)
    libxc = streams.libxc_stream(records=b"".join((STATIC_DATA_END, *records, TAIL)))
    return streams.summed(streams.checkpoint(libxc, marked=True), IDENTITY), last


@pytest.mark.parametrize("is_compressed", [False, True])
def test_each_page_is_there_once_and_is_the_last(tmp_path: Path, is_compressed: bool) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    data, last = live()
    old.write_bytes(streams.compressed(data) if is_compressed else data)
    done = convert_file(old, new, Report())
    assert done.name == "web1" and done.size == new.stat().st_size < len(data)
    assert verify(new).findings == []
    with open(new, "rb") as stream:
        source = Source(stream.fileno())
        found = list(walk.elements(source.take, source.skip))
        there = [page for each in found if each.name == "PAGE_DATA" for page in pages_of(source, each.body)]
        assert there == [(gfn, struct.pack("<QQ", gfn, last[gfn]) * (PAGE // 16)) for gfn in sorted(last)]
        source.offset = found[-1].offset
        assert trailer.parse(source.take, source.offset).identity == IDENTITY
    assert [each.name for each in found if each.name != "PAGE_DATA"] == NAMES


def test_a_pv_guest_s_pages_stay_in_their_order(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(streams.pv_checkpoint(STATIC_DATA_END + pages([1], 0)))
    with pytest.raises(OperationError, match=r"convert: a PV guest's pages have types.*; nothing written"):
        convert_file(old, new, Report())
    assert not new.exists()


NAMES = ["HEADER", "CONFIG", "MARKER", "HEADER", "LIBXC_CONTEXT", "IMAGE_HEADER", "DOMAIN_HEADER", "STATIC_DATA_END",
         "HVM_CONTEXT", "END", "EMULATOR_CONTEXT", "END", "TRAILER"]  # fmt: skip


def pages_of(source: Source, body: int) -> list[tuple[int, bytes]]:
    (count,) = struct.unpack("<I", source.read(body, 4))
    gfns = struct.unpack(f"<{count}Q", source.read(body + 8, 8 * count))
    at = body + 8 + 8 * count
    return [(gfn, source.read(at + number * PAGE, PAGE)) for number, gfn in enumerate(gfns)]
