"""What push sends: the working tree's files, with compiled modules."""

import importlib.util
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pyxl.errors import LabError
from pyxl.lab.tree import archive, tree_files

OURS = (sys.version_info.major, sys.version_info.minor)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for name, text in {
        "pyxl/__init__.py": "",
        "pyxl/__main__.py": "from pyxl.answer import ANSWER\nprint(ANSWER)\n",
        "pyxl/answer.py": "ANSWER = 42\n",
        "pyxl/lab/guest/init": "#!/bin/sh\n",
        "pyxl/__pycache__/stale.pyc": "x",
        "helper/__init__.py": "",
        "conf-examples/minimal.cfg": 'name = "a"\n',
        "README.md": "not sent\n",
    }.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (top / "pyxl/lab/guest/init").chmod(0o755)
    return top


def unpacked(data: bytes, where: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(where, filter="tar")
    return where / "pyxl.new"


def test_files_are_those_that_dom0_needs(tree: Path) -> None:
    assert [name for name, _ in tree_files(tree)] == [
        "pyxl/__init__.py", "pyxl/__main__.py", "pyxl/answer.py", "pyxl/lab/guest/init",
        "helper/__init__.py", "conf-examples/minimal.cfg",
    ]  # fmt: skip


def test_an_installed_pyxl_is_sent_as_the_tree_that_it_was_made_of(tmp_path: Path) -> None:
    installed = tmp_path / "lib/python3/dist-packages"
    for path in (installed / "pyxl/__main__.py", installed / "pyxl_save_helper/words.py", tmp_path / "libexec/pyxl/pyxl-monitor"):
        path.parent.mkdir(parents=True)
        path.touch()
    assert [name for name, _ in tree_files(installed)] == ["pyxl/__main__.py", "helper/words.py", "helper/pyxl-monitor"]


def test_a_directory_that_is_no_working_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="not pyxl's working tree"):
        list(tree_files(tmp_path))


def test_the_helper_is_there_by_the_name_that_it_is_imported_by(tree: Path, tmp_path: Path) -> None:
    data, count = archive(tree, "/opt/pyxl.new", OURS, tmp_path / "cache")
    there = unpacked(data, tmp_path / "dom0")
    assert count == 6
    assert (there / "pyxl_save_helper").readlink() == Path("helper")
    assert os.access(there / "pyxl/lab/guest/init", os.X_OK)


def test_compiled_modules_are_used_and_not_made_again(tree: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    there = unpacked(archive(tree, "/opt/pyxl.new", OURS, cache)[0], tmp_path / "dom0")
    argv = [sys.executable, "-v", "-m", "pyxl"]
    done = subprocess.run(argv, cwd=there, capture_output=True, text=True, env={"PYTHONPATH": os.fspath(there)})
    assert done.stdout == "42\n"
    pyc = importlib.util.cache_from_source(os.fspath(there / "pyxl/answer.py"))
    assert f"{pyc} matches {there}/pyxl/answer.py" in done.stderr
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    archive(tree, "/opt/pyxl.new", OURS, cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_a_changed_module_is_compiled_again_even_when_its_size_is_the_same(tree: Path, tmp_path: Path) -> None:
    archive(tree, "/opt/pyxl.new", OURS, tmp_path / "cache")
    (tree / "pyxl/answer.py").write_text("ANSWER = 43\n")
    there = unpacked(archive(tree, "/opt/pyxl.new", OURS, tmp_path / "cache")[0], tmp_path / "dom0")
    done = subprocess.run([sys.executable, "-m", "pyxl"], cwd=there, capture_output=True, text=True)
    assert done.stdout == "43\n"


def test_a_module_that_does_not_compile_is_sent_as_it_is(tree: Path, tmp_path: Path) -> None:
    (tree / "pyxl/answer.py").write_text("ANSWER =\n")
    there = unpacked(archive(tree, "/opt/pyxl.new", OURS, tmp_path / "cache")[0], tmp_path / "dom0")
    assert (there / "pyxl/answer.py").read_text() == "ANSWER =\n"
    assert not Path(importlib.util.cache_from_source(os.fspath(there / "pyxl/answer.py"))).exists()


def test_another_python_gets_sources_only(tree: Path, tmp_path: Path) -> None:
    there = unpacked(archive(tree, "/opt/pyxl.new", (2, 7), tmp_path / "cache")[0], tmp_path / "dom0")
    assert not list(there.rglob("*.pyc"))
