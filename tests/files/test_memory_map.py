"""The picture of a guest's memory: how pages are counted, and how little memory it takes."""

import tracemalloc
from pathlib import Path
from typing import Any

from pyxl.checkpoint.pages import PageIndex, Run
from pyxl.files.memory_map import MAX_CELLS, MAX_REGIONS, Canvas, guest_map
from tests.formats.stream import streams

PAGE, ZERO = b"\1" * 4096, bytes(4096)
#: Two letters for each cell: base 64 of the shares 15, 0, 0 and so on.
DATA, NULL, BALLOONED, ABSENT = "8A", "Dw", "AP", "AA"


def config(kib: int, kind: str = "pv") -> dict[str, Any]:
    return {"c_info": {"type": kind}, "b_info": {"max_memkb": kib}}


def test_every_page_is_data_zero_ballooned_or_absent(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(streams.guest(streams.memory({0: PAGE, 1: ZERO, 2: None, 5: PAGE})))
    found = guest_map(tmp_path / "file", config(16))
    assert found.kinds == [("data", 2), ("zero", 1), ("ballooned", 2)]
    assert [(region.gfn, region.cells) for region in found.regions] == [(0, DATA + NULL + 2 * BALLOONED + ABSENT + DATA)]


def test_the_last_page_of_a_live_stream_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(streams.guest(streams.memory({0: PAGE, 1: PAGE}), streams.memory({1: ZERO})))
    assert guest_map(tmp_path / "file", None).kinds == [("data", 1), ("zero", 1), ("ballooned", 0)]


def test_an_hvm_guest_s_holes_are_not_ballooned(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(streams.guest(streams.memory({0: PAGE})))
    found = guest_map(tmp_path / "file", config(4 * ((1 << 20) + 16), "hvm"))
    assert dict(found.kinds)["ballooned"] == (1 << 20) + 16 - (0xC0 - 0xA0) - 1
    assert [region.gfn for region in found.regions] == [0, 1 << 20]


def test_what_lies_far_apart_is_folded_and_bounded() -> None:
    far = [(gfn, gfn + 1) for gfn in range(0, 1 << 52, 1 << 40)]
    canvas = Canvas(far)
    for gfn, _ in far:
        canvas.add(0, gfn, 1)
    found = canvas.map(("a", "b", "c"))
    assert found.kinds[0] == ("a", len(far))
    assert len(found.regions) <= MAX_REGIONS
    assert sum(len(region.cells) for region in found.regions) <= 2 * (MAX_CELLS + 2 * MAX_REGIONS)


def test_a_broken_file_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    second = streams.memory({1: ZERO})
    whole = streams.guest(streams.memory({0: PAGE}), second)
    (tmp_path / "file").write_bytes(whole[: whole.index(second) + 4000])
    assert guest_map(tmp_path / "file", config(16)).kinds == [("data", 1), ("zero", 0), ("ballooned", 0)]


def test_the_index_knows_the_last_place_of_every_page() -> None:
    index = PageIndex()
    known: dict[int, int] = {}
    for gfn, pages, offset in ((0, 1024, 1 << 20), (1000, 300, 1 << 30), (3, 1, 8), (1 << 51, 2, 1 << 40), (128, 128, 16)):
        index.add(Run(gfn, pages, offset))
        known |= {gfn + at: offset + 4096 * at for at in range(pages)}
    assert {run.gfn + at: run.offset + 4096 * at for run in index.runs() for at in range(run.pages)} == known
    assert [index.offset(gfn) for gfn in (3, 128, 1299, 1300)] == [8, 16, known[1299], None]


def test_a_guest_without_holes_takes_little_memory() -> None:
    tracemalloc.start()
    index = PageIndex()
    for gfn in range(0, 1 << 20, 1024):  # 4 GiB
        index.add(Run(gfn, 1024, 1 + gfn * 4100))
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()
