"""Reasons not to build a domain: its name, its disks, the processor that its guest has seen."""

import json
import re
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import cpu_policy
from pyxl.model import paths
from pyxl.ops.preflight import can_be_built, can_replace, fits_this_host
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


def given(**change: object) -> GuestConfig:
    document = json.loads(json.dumps(CONFIG | {"disks": [{"vdev": "hda"}], "nics": [{"devid": 0}]}))
    for key, value in change.items():
        if key in ("disks", "nics", "channels"):
            document[key] = value
        elif key == "type":
            document["c_info"]["type"] = value
        else:
            document["b_info"][key] = value
    return GuestConfig(json.dumps(document), "test")


@pytest.mark.parametrize(
    ("saved", "config", "said"),
    [
        ({}, {"type": "pvh"}, "type is hvm in the checkpoint, and pvh in the config"),
        ({"max_vcpus": 2}, {"max_vcpus": 1}, "vcpus is 2 in the checkpoint, and 1 in the config"),
        ({}, {"max_memkb": 65536}, "memory is 128 MiB in the checkpoint, and 64 MiB in the config"),
        (
            {"type.hvm": {"vga": {"kind": "cirrus"}}}, {"type.hvm": {"vga": {"kind": "std"}}},
            "vga.kind is cirrus in the checkpoint, and std in the config",
        ),
        ({}, {"disks": [{"vdev": "hda"}, {"vdev": "hdb"}]}, "disks is hda in the checkpoint, and hda, hdb in the config"),
        (
            {"type.hvm": {"spice": {"vdagent": "False"}}}, {"type.hvm": {"spice": {"vdagent": "True"}}},
            "spice.vdagent is False in the checkpoint, and True in the config",
        ),
        ({}, {"nics": []}, "nics is 0 in the checkpoint, and none in the config"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_the_checkpoint(
    saved: dict[str, object], config: dict[str, object], said: str
) -> None:
    with pytest.raises(PyxlError, match=re.escape(f"does not fit the checkpoint: {said}")) as caught:
        can_replace(given(**saved), given(**config), force=False)
    assert "`--force` passes over this check" in caught.value.hint
    assert can_replace(given(**saved), given(**config), force=True) == [
        f"passed over by --force: the config does not fit the checkpoint: {said}"
    ]


def test_what_a_guest_would_notice_is_said_and_what_is_left_open_is_no_difference() -> None:
    assert can_replace(given(), given(), force=False) == []
    assert can_replace(given(), given(disks=[{"vdev": "hda", "pdev_path": "/elsewhere"}]), force=False) == []
    assert can_replace(given(max_vcpus="many", target_memkb=[]), given(), force=False) == []  # somebody made it up
    assert can_replace(given(bios="seabios"), given(max_memkb=1 << 20), force=False) == []
    assert can_replace(given(), given(max_vcpus=2), force=False) == [
        "the guest may notice: vcpus is 1 in the checkpoint, and 2 in the config"
    ]
    assert can_replace(given(), given(channels=[{"devid": 0, "name": "agent"}]), force=False) == [
        "the guest may notice: channels is none in the checkpoint, and 0 in the config"
    ]
    assert can_replace(given(acpi="True"), given(acpi="False"), force=False) == [
        "the guest may notice: acpi is True in the checkpoint, and False in the config"
    ]


def test_a_restore_without_a_device_model_needs_no_kernel_but_says_so(tmp_path: Path) -> None:
    """Of PVH and PV the memory has all; of HVM qemu reads a kernel at each start."""
    xen, store = FakeXen([]), FakeStore({})
    kernel = str(tmp_path / "gone")
    config = given(type="pvh", kernel=kernel, disks=[])
    assert can_be_built(xen, store, config, restored=True) == [
        f"kernel is missing: {kernel}; the guest's next reboot needs it"
    ]
    for restored, other in ((False, config), (True, given(kernel=kernel, disks=[]))):
        with pytest.raises(PyxlError, match=f"kernel is missing: {kernel}"):
            can_be_built(xen, store, other, restored=restored)
