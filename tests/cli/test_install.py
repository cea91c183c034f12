"""An installed pyxl finds its files."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyxl
from tests.deb import have
from tests.formats.legacy.streams import GUESTS
from tests.formats.legacy.test_convert import BY_XEN

ROOT = Path(__file__).parents[2]


def copied(folder: Path) -> Path:
    """Return a copy of the tree in ``folder``, as a build leaves files beside the sources."""
    tree = folder / "pyxl"
    tree.mkdir()
    for name in ("pyxl", "helper"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pyxl, installed from a copy of the tree."""
    tree = copied(tmp_path_factory.mktemp("tree"))
    target = tmp_path_factory.mktemp("prefix")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    # Else pip first removes pyxl from this virtual environment.
    pip.append("--ignore-installed")
    done = subprocess.run([*pip, "--prefix", target, tree], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def test_the_helper_stands_in_libexec_and_finds_its_packages(prefix: Path) -> None:
    helper = prefix / "libexec" / "pyxl" / "pyxl-save-helper"
    assert os.access(helper, os.X_OK)
    done = subprocess.run([sys.executable, "-IS", helper], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:22]) == (2, "usage: pyxl-save-helpe")


def test_the_converter_stands_there_and_finds_its_packages(prefix: Path) -> None:
    converter = prefix / "libexec" / "pyxl" / "pyxl-convert-legacy"
    done = subprocess.run([converter], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:26]) == (2, "usage: pyxl-convert-legacy")
    made = subprocess.run([converter, "0"], input=GUESTS["pv 32"].encode(), capture_output=True)
    assert hashlib.md5(made.stdout).hexdigest() == BY_XEN["pv 32"]


def test_the_device_model_s_front_stands_there_too(prefix: Path) -> None:
    front = prefix / "libexec" / "pyxl" / "pyxl-qemu-dm"
    assert os.access(front, os.X_OK)
    done = subprocess.run([sys.executable, "-IS", front], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:28]) == (1, "usage: pyxl-qemu-dm -xen-dom")


def test_the_monitor_stands_there_too(prefix: Path) -> None:
    done = subprocess.run([prefix / "libexec" / "pyxl" / "pyxl-monitor"], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:19]) == (2, "usage: pyxl-monitor")


def test_pyxl_finds_the_helper_there(prefix: Path) -> None:
    packages = next(prefix.glob("lib/python3*/site-packages"))
    code = "from pyxl.ops.programs import find; import pyxl; print(pyxl.__file__); print(find('pyxl-save-helper'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=prefix,
                          env={**os.environ, "PYTHONPATH": str(packages)})  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        str(packages / "pyxl" / "__init__.py"), str(prefix / "libexec" / "pyxl" / "pyxl-save-helper"),
    ]  # fmt: skip


def test_the_lab_s_files_are_installed(prefix: Path) -> None:
    lab = next(prefix.glob("lib/python3*/site-packages/pyxl/lab"))
    for folder in ("guest", "host"):
        installed = {path.name for path in (lab / folder).iterdir()}
        assert installed == {path.name for path in (ROOT / "pyxl" / "lab" / folder).iterdir()}


def test_the_pages_parts_are_installed(prefix: Path) -> None:
    page = next(prefix.glob("lib/python3*/site-packages/pyxl/cli/page"))
    assert {"page.html", "page.css", "page.js"} <= {path.name for path in page.iterdir()}


@pytest.mark.lab
def test_pipx_makes_a_pyxl_that_works(tmp_path: Path) -> None:
    """With what it needs from PyPI, and nothing compiled."""
    home = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "PIPX_DEFAULT_PYTHON": sys.executable}
    environment = {**{key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, **home}
    done = subprocess.run([have("pipx"), "install", copied(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["pyxl"]
    said = subprocess.run([tmp_path / "bin/pyxl", "--version"], env=environment, capture_output=True, text=True, cwd="/")
    assert (said.stdout, said.stderr) == (f"pyxl {pyxl.__version__}\n", "")
    prefix = tmp_path / "home/venvs/pyxl"
    assert not [path for path in prefix.rglob("*.so") if "pyxl" in path.name]
    for name in ("pyxl-save-helper", "pyxl-convert-legacy", "pyxl-qemu-dm", "pyxl-monitor"):
        program = [str(prefix / "bin/python"), "-IS", str(prefix / "libexec/pyxl" / name)]
        assert subprocess.run(program, capture_output=True, text=True).stderr.startswith(f"usage: {name}")
