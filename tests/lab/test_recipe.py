"""The recipe: one hash of all that decides the image, and configs with what the guests need."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pyxl.errors import LabError
from pyxl.lab import recipe

BOOKWORM = recipe.suite("bookworm")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    here = tmp_path / "lab"
    shutil.copytree(recipe.HERE, here)
    return here


def test_hash_is_stable_and_is_of_the_content_only(copied: Path) -> None:
    assert recipe.image_hash(BOOKWORM, copied) == recipe.image_hash(BOOKWORM)


@pytest.mark.parametrize(
    "name", ["host/labinit", "host/guestctl", "host/vif-lab", "guest/init", "image.py", "guestimage.py", "snapshot.py"]
)
def test_hash_changes_with_every_file_of_the_recipe(copied: Path, name: str) -> None:
    before = recipe.image_hash(BOOKWORM, copied)
    with (copied / name).open("a") as file:
        file.write("# changed\n")
    assert recipe.image_hash(BOOKWORM, copied) != before


def test_hash_does_not_change_with_what_is_no_part_of_the_image(copied: Path) -> None:
    before = recipe.image_hash(BOOKWORM, copied)
    (copied / "demo.py").write_text("")
    assert recipe.image_hash(BOOKWORM, copied) == before


def test_hash_changes_with_suite_guests_and_command_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {recipe.image_hash(BOOKWORM), recipe.image_hash(recipe.suite("trixie"))}
    monkeypatch.setattr(recipe, "GUESTS", (replace(recipe.GUESTS[0], memory=129), *recipe.GUESTS[1:]))
    hashes.add(recipe.image_hash(BOOKWORM))
    monkeypatch.setattr(recipe, "XEN_ARGUMENTS", "loglvl=all")
    hashes.add(recipe.image_hash(BOOKWORM))
    assert len(hashes) == 4


def test_unknown_suite_names_the_known_ones() -> None:
    with pytest.raises(LabError, match="no lab recipe for suite 'sarge'") as caught:
        recipe.suite("sarge")
    assert "bookworm" in caught.value.hint


def test_packages_follow_the_suite() -> None:
    assert "xen-hypervisor-4.17-amd64" in BOOKWORM.packages
    assert "xen-utils-4.20" in recipe.suite("trixie").packages


def test_guests_fit_beside_dom0() -> None:
    assert 1536 + sum(guest.memory for guest in recipe.GUESTS) < recipe.MEMORY_MIB - 512


def test_config_of_a_plain_guest() -> None:
    guest = recipe.Guest("one", memory=64, data=2, arguments="xen_nopv")
    assert guest.config().splitlines() == [
        'type = "hvm"',
        'name = "one"',
        "memory = 64",
        "vcpus = 1",
        'kernel = "/var/lib/pyxl-lab/vmlinuz"',
        'ramdisk = "/var/lib/pyxl-lab/initrd"',
        f'cmdline = "{recipe.GUEST_ARGUMENTS} labdata=2 labfill=0 xen_nopv"',
        'serial = "pty"',
        'tsc_mode = "native"',
        'vga = "none"',
        "vnc = 0",
    ]


def test_config_of_a_guest_with_disks_and_a_screen() -> None:
    disks = (recipe.Disk("hda", "raw"), recipe.Disk("hdb", "qcow2"))
    lines = recipe.Guest("two", disks=disks, vga="stdvga").config().splitlines()
    assert "vnc = 1" in lines
    assert lines[-1] == (
        "disk = ['format=raw, vdev=hda, access=rw, target=/var/lib/pyxl-lab/two-hda.raw', "
        "'format=qcow2, vdev=hdb, access=rw, target=/var/lib/pyxl-lab/two-hdb.qcow2']"
    )
