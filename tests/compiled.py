"""Shared libraries that are compiled when a test or benchmark needs them."""

import os
import subprocess
from pathlib import Path

COMPILER = ("gcc", "libc6-dev")


def shared_library(source: Path, target: Path) -> None:
    """Compile a C file to a shared library; as root install the compiler first where there is none.

    :raise RuntimeError: it cannot be compiled; the line says what is missing.
    """
    command = ("gcc", "-shared", "-fPIC", "-O1", "-o", str(target), str(source))
    try:
        run(command, target.parent)
    except RuntimeError as error:
        if os.geteuid():
            raise RuntimeError(f"{error}\nIt needs a C compiler; run: sudo apt-get install {' '.join(COMPILER)}") from None
        run(("apt-get", "-q", "update"), target.parent)
        run(("apt-get", "install", "-y", "-q", "--no-install-recommends", *COMPILER), target.parent)
        run(command, target.parent)


def run(command: tuple[str, ...], folder: Path) -> None:
    """Run a command in a folder.

    :raise RuntimeError: it fails or is not there; the line says why.
    """
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(f"{command[0]}: {error.strerror}; this needs Debian 12") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{' '.join(command)}: {error.stderr.strip()}") from None
