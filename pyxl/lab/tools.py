"""Find, install and run this machine's programs that the lab is built with."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pyxl.errors import LabError
from pyxl.lab import recipe
from pyxl.lab.steps import Steps


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of images and instances: pyxl/lab in the user's cache directory."""
    base = environ.get("XDG_CACHE_HOME") or ""
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".cache"
    return root / "pyxl" / "lab"


def find(program: str) -> str | None:
    """Return the path of ``program``; looks in sbin too, which a user's PATH often lacks."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def missing_packages(which: Callable[[str], str | None] = find) -> list[str]:
    """Return the Debian packages that the lab needs and this machine lacks, sorted."""
    lacking = {package for program, package in recipe.PROGRAMS.items() if which(program) is None}
    lacking |= {package for path, package in recipe.FIRMWARE.items() if not Path(path).exists()}
    return sorted(lacking)


def ensure_packages(steps: Steps, log: Path, missing: Sequence[str] | None = None, root: bool | None = None) -> None:
    """Install what is missing, if we are root.

    :raise LabError: something is missing and we are not root, or apt-get failed.
    """
    wanted = missing_packages() if missing is None else list(missing)
    if not wanted:
        return
    names = " ".join(wanted)
    by_hand = f"apt-get install -y --no-install-recommends {names}"
    if not (os.geteuid() == 0 if root is None else root):
        raise LabError(f"the lab needs packages that are not installed: {names}", f"as root: {by_hand}")
    if find("apt-get") is None:
        raise LabError(f"the lab needs programs that are not installed: {names}", "these are their names in Debian")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with steps.step(f"install {names}", log):
        run(["apt-get", "update"], log, env=env, hint="is the network reachable?")
        install = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
        run(install, log, env=env, hint=f"try it by hand: {by_hand}")


def run(
    argv: Sequence[str | os.PathLike[str]], log: Path, *, cwd: Path | None = None, stdin: bytes | None = None,
    env: Mapping[str, str] | None = None, hint: str = "",
) -> None:  # fmt: skip
    """Run a program to its end; append its output to ``log``.

    :raise LabError: its status was not 0.
    """
    words = [os.fspath(word) for word in argv]
    words[0] = find(words[0]) or words[0]
    with log.open("ab") as file:
        file.write(f"$ {' '.join(words)}\n".encode())
        file.flush()
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        done = subprocess.run(
            words, cwd=cwd, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, stdout=file, stderr=file,
            env={**(os.environ if env is None else env), "PATH": path},
        )  # fmt: skip
    if done.returncode:
        raise LabError(f"{words[0]} failed with status {done.returncode}", hint or f"its output: {log}")
