"""What saves and restores guests in dom0: stock xl and pyxl, each in several ways."""

from typing import NamedTuple

from tests.bench.results import XL


class Program(NamedTuple):
    """Lines of bash that save ``{guest}`` to ``{file}``, and restore it from there."""

    name: str
    save: str
    restore: str


# xl is to be measured until all is on the disk, as pyxl is.
PROGRAMS = (
    Program(XL, "xl save {guest} {file} && sync {file}", "xl restore {file}"),
    Program(
        "xl | zstd",
        "mkfifo {file}.pipe; zstd -T0 -1 -qf -o {file} < {file}.pipe & "
        "xl save {guest} {file}.pipe && wait $! && sync {file} && rm {file}.pipe",
        "xl restore <(zstd -dcq {file})",
    ),
    Program("pyxl", "pyxl save --engine direct {guest} {file}", "pyxl restore --engine direct {file}"),
    Program("pyxl, libxc", "pyxl save --engine libxc {guest} {file}", "pyxl restore --engine libxc {file}"),
    Program("pyxl, compressed", "pyxl save --compress {guest} {file}", "pyxl restore {file}"),
)
