"""The programs of pyxl that are started by their path."""

import os
from pathlib import Path

from pyxl.errors import PyxlError

SAVE_HELPER = "pyxl-save-helper"
CONVERT_LEGACY = "pyxl-convert-legacy"
QEMU_DM = "pyxl-qemu-dm"
MONITOR = "pyxl-monitor"


def find(name: str) -> str:
    """Return the path of an executable: beside this package in a checkout, in libexec when installed.

    :raise PyxlError: it is in neither place.
    """
    root = Path(__file__).resolve().parents[2]
    # PREFIX/lib/python3.x/site-packages is three below PREFIX.
    candidates = (root / "helper" / name, Path(os.path.normpath(root / "../../.." / "libexec" / "pyxl" / name)))
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return os.fspath(candidate)
    raise PyxlError(f"{name} is missing: looked for {' and '.join(map(str, candidates))}")
