"""The floors: which package may import which."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STDLIB_FORBIDDEN = {
    "formats": {"os", "socket", "ctypes", "logging", "click", "pyxs", "subprocess"},
    "model": {"os", "socket", "ctypes", "logging", "click", "pyxs"},
    "ops": {"click", "pyxs", "ctypes"},
    "files": {"click", "pyxs", "ctypes", "socket"},
    "dm": {"click", "pyxs", "ctypes"},
    "checkpoint": {"click", "pyxs", "ctypes"},
    "repository": {"click", "pyxs", "ctypes"},
    "memory": {"click", "pyxs", "dataclasses", "enum", "pathlib", "contextlib", "threading"},
    "cli": {"struct", "ctypes", "pyxs"},
    "helper": {"click", "pyxs", "rich", "typing", "dataclasses", "enum", "pathlib", "subprocess", "logging", "json"},
}
# Floor -> the floors below that it may import, besides its own.
MAY_IMPORT = {
    "errors": set(),
    "interrupt": set(),
    "model": {"errors"},
    "formats": {"errors", "model"},
    "xen": {"errors", "model"},
    "checkpoint": {"errors", "interrupt", "model", "formats"},
    "memory": {"errors", "formats", "xen", "checkpoint"},
    "repository": {"errors", "interrupt", "model", "formats", "checkpoint", "memory", "disks"},
    "dm": {"errors", "model", "xen"},
    "disks": {"errors", "model", "formats", "checkpoint"},
    "ops": {"errors", "interrupt", "model", "formats", "xen", "checkpoint", "repository", "dm", "disks"},
    "files": {"errors", "interrupt", "model", "formats", "checkpoint", "repository", "disks"},
    "cli": {"errors", "interrupt", "model", "formats", "repository", "ops", "files", "lab"},
    "lab": {"errors"},
    "helper": {"errors", "model", "formats", "xen", "checkpoint", "memory"},
}
HELPER_MODULES = {
    "pyxl.errors", "pyxl.formats.helper_messages", "pyxl.xen.lib", "pyxl.xen.guest", "pyxl.xen",
    "pyxl.memory", "pyxl.checkpoint.descriptors", "pyxl.checkpoint.inflow", "pyxl.checkpoint.zstd",
    "pyxl.formats.legacy", "pyxl.model.paths", "pyxl.xen.info", "pyxl.xen.domain_log",
}  # fmt: skip
WIRING = Path("pyxl/cli/wiring.py")
#: What a monitor's child imports: all that pyxl has.
MONITOR, ITS_CHILD = Path("helper/monitor.py"), {"pyxl.cli.wiring"}
#: The binding of a library that is no Xen's.
ZSTD = Path("pyxl/checkpoint/zstd.py")


def sources() -> list[Path]:
    found = [*(ROOT / "pyxl").rglob("*.py"), *(ROOT / "helper").glob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found if "guest" not in path.parts and "host" not in path.parts)


def floor_of(path: Path) -> str:
    if path.parts[0] == "helper":
        return "helper"
    return path.stem if len(path.parts) == 2 else path.parts[1]


def imports_of(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", [path for path in sources() if path.stem not in ("__init__", "__main__")], ids=str)
def test_imports_point_downward(path: Path) -> None:
    floor = floor_of(path)
    allowed = MAY_IMPORT[floor] | {floor} | ({"xen", "dm"} if path == WIRING else set())
    for name in set(imports_of(path)) - (ITS_CHILD if path == MONITOR else set()):
        head, _, rest = name.partition(".")
        if head == "pyxl" and rest and not rest.startswith("__"):
            assert rest.split(".")[0] in allowed, f"{path}: floor {floor} may not import {name}"
        if (path, head) != (ZSTD, "ctypes"):
            assert head not in STDLIB_FORBIDDEN.get(floor, set()), f"{path}: floor {floor} may not import {name}"


@pytest.mark.parametrize("path", [path for path in sources() if path.parts[0] == "helper"], ids=str)
def test_helper_imports_only_what_starts_fast(path: Path) -> None:
    for name in set(imports_of(path)) - (ITS_CHILD if path == MONITOR else set()):
        if name.startswith("pyxl."):
            assert any(name == module or name.startswith(module + ".") for module in HELPER_MODULES), name


def module_of(path: Path) -> str:
    parts = ["pyxl_save_helper" if path.parts[0] == "helper" else path.parts[0], *path.with_suffix("").parts[1:]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(name: str, modules: set[str]) -> str | None:
    """Return the module that an imported name is, or is defined in."""
    return name if name in modules else owner if (owner := name.rpartition(".")[0]) in modules else None


def test_no_two_files_import_each_other() -> None:
    """Not through others either; imports in functions count, as they only hide the cycle."""
    paths = {module_of(path): path for path in sources()}
    graph = {
        module: {found for name in imports_of(path) if (found := imported(name, set(paths)))} - {module}
        for module, path in paths.items()
    }
    assert sum(map(len, graph.values())) > len(graph)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_package_is_installed() -> None:
    import tomllib

    configured = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    present = {".".join(path.parent.parts) for path in sources() if path.name == "__init__.py"} - {"helper"}
    assert configured == present | {"pyxl_save_helper"}
