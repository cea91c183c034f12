"""Reasons not to build a domain: its name, its disks, the processor that its guest has seen."""

import json
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import cpu_policy
from pyxl.model import paths
from pyxl.ops.preflight import can_be_built, fits_this_host
from tests.fakes.host import CONFIG, FakeStore, FakeXen, running, web1
from tests.formats.stream.test_cpu_policy import leaf

BACKEND = f"{paths.backends('qdisk')}/7/832"


def build(store: FakeStore, xen: FakeXen, *disks: dict[str, object]) -> None:
    config = {**CONFIG, "c_info": {"type": "hvm", "name": "web2"}, "disks": list(disks)}
    can_be_built(xen, store, GuestConfig(json.dumps(config), "test"))
    assert xen.calls == []


def test_the_name_of_a_dying_domain_is_not_free() -> None:
    xen = FakeXen([], running()._replace(dying=True))
    with pytest.raises(PyxlError, match=r'"web1" is still being destroyed \(domid 7\)') as caught:
        can_be_built(xen, FakeStore(web1()), GuestConfig(json.dumps(CONFIG), "test"))
    assert "Try again" in caught.value.hint


def test_a_name_that_only_xenstore_remembers_is_free() -> None:
    can_be_built(FakeXen([]), FakeStore(web1()), GuestConfig(json.dumps(CONFIG), "test"))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "disk.raw").touch()
    return tmp_path / "disk.raw"


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ("w", 1, "is writing to it"),
        ("w", 0, "is writing to it"),
        ("r", 1, "is reading it"),
        ("r", 0, None),
    ],
)
def test_a_disk_may_be_shared_by_readers_only(disk: Path, theirs: str, ours: int, said: str | None) -> None:
    store = FakeStore({**web1(), f"{BACKEND}/params": f"qcow2:{disk}", f"{BACKEND}/mode": theirs})
    mine = {"vdev": "hda", "pdev_path": str(disk), "readwrite": ours}
    if said is None:
        return build(store, FakeXen([], running()), mine)
    with pytest.raises(PyxlError, match=f'disk hda is in use: domain 7 "web1" {said}') as caught:
        build(store, FakeXen([], running()), mine)
    assert "pyxl destroy 7" in caught.value.hint


def test_a_disk_is_known_by_other_names_too(disk: Path) -> None:
    link, hard = disk.with_name("link"), disk.with_name("hard")
    link.symlink_to(disk)
    hard.hardlink_to(disk)
    store = FakeStore({**web1(), f"{BACKEND}/params": f"aio:{disk}", f"{BACKEND}/mode": "w"})
    for name in (link, hard):
        with pytest.raises(PyxlError, match="disk xvda is in use"):
            build(store, FakeXen([], running()), {"vdev": "xvda", "pdev_path": str(name), "readwrite": 1})


def test_what_a_domain_that_is_gone_left_in_xenstore_keeps_no_disk(disk: Path) -> None:
    store = FakeStore({f"{BACKEND}/params": f"aio:{disk}", f"{BACKEND}/mode": "w"})
    build(store, FakeXen([]), {"vdev": "hda", "pdev_path": str(disk), "readwrite": 1})


def test_an_empty_cdrom_of_another_guest_is_no_disk(disk: Path) -> None:
    store = FakeStore({**web1(), f"{BACKEND}/params": "", f"{BACKEND}/mode": "r"})
    build(store, FakeXen([], running()), {"vdev": "hda", "pdev_path": str(disk), "readwrite": 1})


def test_a_guest_that_needs_another_processor() -> None:
    xen = FakeXen([])
    xen.cpu_policy = (leaf(7, 0, ebx=1 << 5), b"")
    fits_this_host(xen, None)
    fits_this_host(xen, (True, cpu_policy.decode(leaf(7, 0, ebx=1 << 5), b"")))
    with pytest.raises(PyxlError, match=r"lacks what the guest runs on: avx512f") as caught:
        fits_this_host(xen, (True, cpu_policy.decode(leaf(7, 0, ebx=1 << 5 | 1 << 16), b"")))
    assert "on a host that has it" in caught.value.hint
