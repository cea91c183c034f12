"""What this host's xl.conf says (xl.conf(5))."""

from pathlib import Path
from typing import Any

from pyxl.model import paths


def read(path: Path = Path(paths.XL_CONF)) -> dict[str, Any]:
    """Return the options of xl.conf that matter here, by their names; empty where the file is missing.

    :raise UsageError: a syntax error or a wrong value; the line names it.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return {}  # as Debian delivers it: no reason to load a parser
    from pyxl.formats.xlcfg.parse import parse_xl_conf

    return dict(parse_xl_conf(text, str(path)))
