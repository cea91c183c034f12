"""Debian's own xl, unpacked beside the virtual environment: it is not installed, and needs no Xen."""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from pyxl.lab.recipe import DEFAULT_SUITE, suite
from pyxl.lab.steps import Quiet
from pyxl.lab.tools import ensure_packages
from tests.compiled import run, shared_library
from tests.xen.link import SUITE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv" / f"xl-oracle-{SUITE}"
STUB_SOURCE = Path(__file__).parent / "stub.c"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PACKAGES = (
    "xen-utils-4.17", "xen-utils-common", "libxenmisc4.17", "libxentoollog1", "libxenstore4", "libxencall1",
    "libxenevtchn1", "libxenforeignmemory1", "libxengnttab1", "libxendevicemodel1", "libxenhypfs1", "libxentoolcore1",
    "libyajl2", "libnl-route-3-200", "libnl-3-200", "libfdt1",
)  # fmt: skip


def installed() -> Path:
    """Return the folder that has xl, its libraries, its examples and stub.so; make it where it is missing or too old.

    :raise RuntimeError: it cannot be made; the line says what is missing.
    """
    stub = FOLDER / "stub.so"
    newest = max(source.stat().st_mtime for source in (STUB_SOURCE, Path(__file__)))
    if not stub.exists() or stub.stat().st_mtime < newest:
        FOLDER.parent.mkdir(exist_ok=True)
        # Made aside and moved: another test run may do the same at the same time.
        made = Path(mkdtemp(prefix="xl-oracle-", dir=FOLDER.parent))
        try:
            _unpack(made)
            shared_library(STUB_SOURCE, made / "stub.so")
            shutil.rmtree(FOLDER, ignore_errors=True)
            made.rename(FOLDER)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return FOLDER


def command(*argv: str) -> list[str]:
    """Return the command line that runs a program of this machine, or of the folder, on the folder's libraries."""
    folder = installed()
    if SUITE == DEFAULT_SUITE:
        return ["env", f"LD_PRELOAD={folder / 'stub.so'}", f"LD_LIBRARY_PATH={folder / LIBRARIES}", *argv]
    # Another Debian's libraries want its own C library, which wants its own loader.
    loader = folder / LIBRARIES / "ld-linux-x86-64.so.2"
    return [str(loader), "--preload", str(folder / "stub.so"), "--library-path", str(folder / LIBRARIES), *argv]


def _unpack(folder: Path) -> None:
    if SUITE != DEFAULT_SUITE:
        ensure_packages(Quiet(), folder / "packages.log")
        wanted = f"--include=xen-utils-{suite(SUITE).xen}"
        run(("mmdebstrap", "-q", "--variant=extract", wanted, SUITE, "root"), folder)
        for part in ("usr", "etc"):
            (folder / "root" / part).rename(folder / part)
        shutil.rmtree(folder / "root")
        return
    download = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES)
    try:
        run(download, folder)
    except RuntimeError:
        # Without lists, or with old ones; only root may fetch new ones.
        if os.geteuid():
            raise
        run(("apt-get", "-q", "update"), folder)
        run(download, folder)
    for package in folder.glob("*.deb"):
        run(("dpkg-deb", "-x", package.name, "."), folder)
        package.unlink()
