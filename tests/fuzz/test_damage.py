"""A part of `python -m tests.fuzz` with the same files each time; any damage to a file with sums is found."""

import os
import random
import shutil
from pathlib import Path

import pytest
import xxhash

from pyxl.files.opened import opened
from pyxl.repository import manifest
from pyxl.repository.repository import Repository
from tests.fuzz import damage
from tests.fuzz.trial import BYTES, TARGETS, bounded, tried, verdict
from tests.golden.make_repository import PLACE, content_sum

SEEDS = damage.seeds()


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_file_gets_an_answer_in_time_and_little_memory(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    with bounded():
        for _ in range(1000):
            damage.damaged(draw, draw.choice(list(SEEDS.values()))).write_to(tmp_path / "file")
            assert tried(TARGETS[name], tmp_path / "file")


@pytest.mark.parametrize("name", ["pyxl", "pyxl 0.4", "xl.cfg"])
def test_no_damage_to_a_file_with_sums_goes_unseen(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    for _ in range(500):
        damaged = damage.damaged(draw, SEEDS[name])
        damaged.write_to(tmp_path / "file")
        whole = damaged == (SEEDS[name], len(SEEDS[name]))
        assert verdict(tmp_path / "file") == ("clean" if whole else "broken")


def test_no_damage_changes_what_a_compressed_file_holds(tmp_path: Path) -> None:
    """Some bits of a frame say nothing."""
    draw = random.Random("compressed")
    whole, same = SEEDS["compressed"], 0
    content = read(whole, tmp_path / "whole")
    for _ in range(1000):
        damaged = damage.damaged(draw, whole)
        damaged.write_to(tmp_path / "file")
        if verdict(tmp_path / "file") != "broken":
            assert read(damaged.data[: damaged.size], tmp_path / "file") == content
            same += damaged != (whole, len(whole))
    assert same < 10


def test_a_damaged_repository_gets_an_answer_and_no_wrong_page(tmp_path: Path) -> None:
    """Half of the manifests get a right sum again, as somebody would make them who wants to do harm."""
    place = Path(shutil.copytree(PLACE, tmp_path / "golden"))
    draw = random.Random("repository")
    files = [each for each in sorted(place.glob("*s/0*")) if each.suffix in (".pack", ".manifest")]
    before = {number: content_sum(Path(f"{place}@{number}")) for number in range(1, 6)}
    for _ in range(120):
        file = draw.choice(files)
        whole = file.read_bytes()
        data = damage.damaged(draw, whole).data
        is_made_up = file.suffix == ".manifest" and draw.random() < 0.5
        file.write_bytes(sealed(draw, whole) if is_made_up else data)
        answers = {number: tried(verdict, Path(f"{place}@{number}")) for number in before}
        listed = {each.facts.number for each in Repository(place).all()}
        assert is_made_up or listed == set(before)
        for number, answer in answers.items():
            if answer == "clean" and not is_made_up:
                assert content_sum(Path(f"{place}@{number}")) == before[number]
        file.write_bytes(whole)


def sealed(draw: random.Random, whole: bytes) -> bytes:
    """Return a manifest that is wrong in its text or its body, with a sum that is right."""
    if draw.random() < 0.5:
        spoilt = damage.damaged(draw, whole).data[:-8]
    else:
        found = manifest.parse(whole)
        runs = damage.damaged(draw, found.runs).data
        spoilt = manifest.encode(found._replace(runs=runs[: len(runs) // 24 * 24]))[:-8]
    return spoilt + xxhash.xxh64_intdigest(spoilt).to_bytes(8, "little")


def read(data: bytes, path: Path) -> bytes:
    path.write_bytes(data)
    with opened(path) as source:
        return source.read(0, source.size)


@pytest.mark.parametrize("name", SEEDS)
def test_no_cut_goes_unseen(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(SEEDS[name])
    for size in range(len(SEEDS[name]) - 1, -1, -17):
        os.truncate(tmp_path / "file", size)
        assert verdict(tmp_path / "file") == "broken"


def test_the_bound_on_memory_holds() -> None:
    with bounded():
        with pytest.raises(MemoryError):
            bytes(2 * BYTES)
        assert bytes(BYTES // 2)
    assert bytes(2 * BYTES)
