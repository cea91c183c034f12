"""A guest's cpupool and CPUs on a host that has others."""

import json

import pytest

from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.ops.placement import fit_placement
from tests.fakes.host import CONFIG, FakeStore, FakeXen

GONE = 'cpupool "fast" is not on this host: the guest runs in the host\'s own'
EMPTY = 'cpupool "fast" has no CPU: the guest runs in the host\'s own'
LOST = "vcpu 0 was pinned to CPU 2, which its cpupool lacks: it runs on any"
FAST, NO_POOL = {2: [2, 3]}, dict[int, list[int]]()


@pytest.mark.parametrize(
    ("pool", "pins", "others", "there", "left", "remarks"),
    [
        ("", [], NO_POOL, "", [], []),
        ("", [[1]], NO_POOL, "", [[1]], []),
        ("", [[2]], NO_POOL, "", [], [LOST]),
        ("", [[2], [0]], NO_POOL, "", [[0, 1], [0]], [LOST]),
        ("fast", [], FAST, "fast", [], []),
        ("fast", [[2]], FAST, "fast", [[2]], []),
        ("fast", [[1]], FAST, "fast", [], [LOST.replace("CPU 2", "CPU 1")]),
        ("fast", [[2]], NO_POOL, "", [], [GONE, LOST]),
        ("fast", [[1]], NO_POOL, "", [[1]], [GONE]),
        ("fast", [], {2: list[int]()}, "", [], [EMPTY]),
    ],
)
def test_what_is_not_there_is_not_asked_for(
    pool: str, pins: list[list[int]], others: dict[int, list[int]], there: str, left: list[list[int]], remarks: list[str]
) -> None:
    xen = FakeXen([])
    xen.pools |= others
    config = GuestConfig(json.dumps(CONFIG), "test")
    config.place(pool, pins)
    names = {paths.pool_name(0): "Pool-0"} | {paths.pool_name(number): "fast" for number in others}
    assert fit_placement(xen, FakeStore(names), config) == remarks
    assert config.placement == (there, left)


@pytest.mark.parametrize(("pool", "pins"), [("", 5), ("", [5]), ("", [["0"]]), (7, []), ({"fast": 1}, "0")])
def test_what_libxl_does_not_write_is_left_to_libxl(pool: object, pins: object) -> None:
    document = json.loads(json.dumps(CONFIG))
    document["c_info"]["pool_name"], document["b_info"]["vcpu_hard_affinity"] = pool, pins
    config = GuestConfig(json.dumps(document), "test")
    assert fit_placement(FakeXen([]), FakeStore({}), config) == []
    assert config.document == document
