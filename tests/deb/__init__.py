"""This tree's Debian package, built once in a test run."""

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def have(program: str) -> str:
    """Return the path of a program that a Debian package of the same name has; as root, install it where it is missing.

    :raise RuntimeError: it is missing, and we are not root.
    """
    if not shutil.which(program):
        if os.geteuid():
            raise RuntimeError(f"{program} is not installed; run: sudo apt-get install {program}")
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", program], check=True)
    return str(shutil.which(program))


@cache
def built(suite: str = "") -> Path:
    """Return the package for a Debian release, as `make deb` builds it; without its name, for this machine's."""
    named = [suite] if suite and suite != platform.freedesktop_os_release().get("VERSION_CODENAME") else []
    done = subprocess.run([ROOT / "debian/build-package", *named], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return ROOT / done.stdout.splitlines()[-1].partition(":")[0]


def version(package: Path) -> str:
    """Return a package's version."""
    return subprocess.run(["dpkg-deb", "-f", package, "Version"], capture_output=True, text=True, check=True).stdout.strip()


def later(package: Path, folder: Path) -> Path:
    """Return a package of a version that follows, in ``folder``; it differs in nothing else."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    old = version(package)
    new = old.replace("~", ".1~")
    control, module = tree / "DEBIAN/control", tree / "usr/lib/python3/dist-packages/pyxl/__init__.py"
    control.write_text(control.read_text().replace(f"Version: {old}", f"Version: {new}"))
    module.write_text(module.read_text().replace(old.partition("~")[0], new.partition("~")[0]))
    later = folder / f"pyxl_{new}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, later], stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(tree)
    return later
