"""The files of conf-examples: each parses, is complete, and is named in their README."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyxl.formats.xlcfg.parse import parse

EXAMPLES = Path(__file__).parents[3] / "conf-examples"
FILES = sorted(EXAMPLES.glob("*.cfg"))
LAB_FILES = {f"/var/lib/pyxl-lab/{name}" for name in ("vmlinuz", "initrd", "bootdisk.raw")}


def test_there_are_at_least_six() -> None:
    assert len(FILES) >= 6


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_example_starts_on_the_lab(file: Path) -> None:
    said: list[str] = []
    domain = parse([(file.name, file.read_text())], warn=said.append)
    build = domain["b_info"]
    used = {build[key] for key in ("kernel", "ramdisk") if key in build}
    used |= {disk["pdev_path"] for disk in domain.get("disks", []) if disk["pdev_path"]}
    assert said == []
    assert domain["c_info"]["name"] == file.stem
    assert domain["c_info"]["type"] == "hvm"
    assert used and used <= LAB_FILES
    assert build["target_memkb"] <= 131072
    assert build["tsc_mode"] == "native"  # the emulated lab needs it
    assert "pty" in (build["type.hvm"].get("serial"), *build["type.hvm"].get("serial_list", []))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_example_says_what_it_is(file: Path) -> None:
    assert file.read_text().startswith("# ")
    assert f"`{file.name}`" in (EXAMPLES / "README.md").read_text()
