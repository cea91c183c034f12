"""What this site's own defaults are: /etc/xen/pyxl.conf."""

from pathlib import Path
from typing import NamedTuple

from pyxl.errors import UsageError
from pyxl.model import paths
from pyxl.model.compression import OFF, compression

MOST_THREADS = 64


class Defaults(NamedTuple):
    """What a command does without the option of the same name; None is for pyxl to choose."""

    compress: str = OFF
    threads: int | None = None


def read(path: Path = Path(paths.PYXL_CONF)) -> Defaults:
    """Return the site's defaults; a line is `KEY = VALUE`, a comment begins with `#`.

    :raise UsageError: the file cannot be read, or a line is wrong.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return Defaults()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        key, is_set, value = (part.strip() for part in line.partition("#")[0].partition("="))
        if not key and not is_set:
            continue
        if key not in Defaults._fields or not value:
            known = " and ".join(Defaults._fields)
            raise UsageError(f"{path}:{number}: {line.strip()!r} sets nothing: there are {known}, each with a value")
        found[key] = value.strip("\"'")
    try:
        compression(found.get("compress", OFF), None)
        return Defaults(found.get("compress", OFF), _threads(found["threads"]) if "threads" in found else None)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _threads(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= MOST_THREADS:
        return int(text)
    raise UsageError(f"threads is a number from 1 to {MOST_THREADS}, and not {text!r}")
