"""What this host's xl.conf says (xl.conf(5))."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyxl.model import paths


def read(path: Path = Path(paths.XL_CONF), warn: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Return the options of xl.conf that matter here, by their names; empty where the file is missing.

    ``warn`` gets a text for each value that is ignored.

    :raise UsageError: a syntax error, or a limit that is no number; the line names it.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return {}  # as Debian delivers it: no reason to load a parser
    from pyxl.formats.xlcfg.xl_conf import parse

    return parse(text, str(path), warn)
