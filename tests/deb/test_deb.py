"""The Debian package: what it is built from, what is in it, and what Debian's judge says of it."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import pyxl
from pyxl.ops.pyxl_conf import Defaults, read
from tests.deb import ROOT, built, have, version

CONF = ROOT / "conf-examples/pyxl.conf"
DEFAULTS = sorted((ROOT / "conf-examples/default").iterdir())
UNITS = sorted(path for path in (ROOT / "conf-examples/systemd").rglob("*") if path.is_file())
LIBEXEC = ("pyxl-convert-legacy", "pyxl-monitor", "pyxl-qemu-dm", "pyxl-save-helper")


def test_the_package_has_the_project_s_version() -> None:
    first = (ROOT / "debian/changelog").read_text().partition("\n")[0]
    assert first == f"pyxl ({pyxl.__version__}) unstable; urgency=medium"


def test_pyxl_conf_says_the_defaults(tmp_path: Path) -> None:
    assert read(CONF) == Defaults()
    lines = [line for line in CONF.read_text().splitlines() if re.match(r"#\w+ = ", line)]
    assert [line[1:].partition(" ")[0] for line in lines] == list(Defaults._fields)
    (tmp_path / "pyxl.conf").write_text("\n".join(line[1:] for line in lines))
    assert read(tmp_path / "pyxl.conf").compress == Defaults().compress


@pytest.mark.parametrize("path", DEFAULTS, ids=lambda path: str(path.name))
def test_a_unit_s_file_of_defaults_says_what_the_units_have(path: Path) -> None:
    units = [unit.read_text() for unit in UNITS if f"EnvironmentFile=-/etc/default/{path.name}\n" in unit.read_text()]
    said = re.findall(r"^#(\w+=.*)$", path.read_text(), re.M)
    assert units and said
    for unit in units:
        assert re.findall("^Environment=(.*)$", unit, re.M) == said


def test_no_unit_s_file_of_defaults_is_missing() -> None:
    named = {name for unit in UNITS for name in re.findall("EnvironmentFile=-/etc/default/(.*)", unit.read_text())}
    assert named == {path.name for path in DEFAULTS}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg-deb", "-R", built(), folder], check=True)
    return folder


@pytest.mark.lab
def test_it_needs_what_the_project_needs_and_works_without_xen(unpacked: Path) -> None:
    assert version(built()).startswith(f"{pyxl.__version__}~deb")
    fields = dict(line.split(": ", 1) for line in (unpacked / "DEBIAN/control").read_text().splitlines() if line[:1] != " ")
    assert fields["Architecture"] == "all"
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(fields["Depends"].split(", ")) == {
        "libzstd1", "python3:any", *(f"python3-{name.partition('>')[0]}" for name in ours),
    }  # fmt: skip
    assert fields["Recommends"] == "qemu-system-xen, xen-utils"


@pytest.mark.lab
def test_each_file_stands_in_its_place(unpacked: Path) -> None:
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    modules = {f"usr/lib/python3/dist-packages/{path.relative_to(ROOT)}" for path in (ROOT / "pyxl").rglob("*.py")}
    helpers = {f"usr/lib/python3/dist-packages/pyxl_save_helper/{path.name}" for path in (ROOT / "helper").glob("*.py")}
    examples = {f"usr/share/doc/pyxl/conf-examples/{path.name}" for path in (ROOT / "conf-examples").glob("*.cfg")}
    examples |= {"usr/share/doc/pyxl/conf-examples/sandbox/sandbox.py"}
    programs = {"usr/bin/pyxl", *(f"usr/libexec/pyxl/{name}" for name in LIBEXEC)}
    assert files >= modules | helpers | examples | programs | {"usr/share/doc/pyxl/README.md"}
    conffiles = {"/etc/xen/pyxl.conf", *(f"/etc/default/{path.name}" for path in DEFAULTS)}
    assert set((unpacked / "DEBIAN/conffiles").read_text().split()) == conffiles
    units = {f"systemd/system/{path.relative_to(ROOT / 'conf-examples/systemd')}" for path in UNITS}
    assert {name.partition("lib/")[2] for name in files if "systemd/system/" in name} == units
    assert not [name for name in files if name.endswith(".pyc") or "/local/" in name or ".egg-info" in name]


@pytest.mark.lab
def test_its_programs_find_their_modules_and_each_other(unpacked: Path) -> None:
    """With Debian's Python, as on a host."""
    modules = unpacked / "usr/lib/python3/dist-packages"
    clean = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(modules), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([unpacked / "usr/bin/pyxl", "--version"], env=clean, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"pyxl {pyxl.__version__}\n", "")
    code = "from pyxl.ops import programs; print(programs.find(programs.MONITOR))"
    found = subprocess.run(["python3", "-P", "-c", code], env=clean, capture_output=True, text=True)
    assert found.stdout.strip() == str(unpacked / "usr/libexec/pyxl/pyxl-monitor"), found.stderr
    for name in LIBEXEC:
        said = subprocess.run([unpacked / "usr/libexec/pyxl" / name], env=clean, capture_output=True, text=True)
        assert said.stderr.startswith(f"usage: {name}"), said.stderr


@pytest.mark.lab
def test_lintian_has_nothing_to_say() -> None:
    lintian = [have("lintian"), "--allow-root", "--pedantic", "--fail-on", "error,warning,pedantic", str(built())]
    done = subprocess.run(lintian, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.lab
@pytest.mark.soak
def test_two_builds_are_the_same_to_the_last_bit() -> None:
    first = built().read_bytes()
    built.cache_clear()
    assert built().read_bytes() == first


@pytest.mark.lab
def test_who_may_not_install_is_told_the_line_to_run(tmp_path: Path) -> None:
    """A package is named that there is none of, and root taken for somebody else."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "debian", tree / "debian")
    for name in ("README.md", "conf-examples", "helper", "pyproject.toml", "pyxl", "pyxl_save_helper"):
        (tree / name).symlink_to(ROOT / name)
    control = tree / "debian/control"
    control.write_text(control.read_text().replace("Build-Depends:", "Build-Depends: no-such-package,"))
    script = tree / "debian/build-package"
    script.write_text(script.read_text().replace('$(id -u)', "1"))
    done = subprocess.run([script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"run: sudo apt-get build-dep -y -q --no-install-recommends {tree}")
