"""Where a checkpoint goes that a command writes."""

import os
from pathlib import Path

STDOUT = 1
#: Links in one path, as the kernel's own limit.
_MAX_LINKS = 40


def target_of(file: Path) -> Path | int:
    """Return the file, or the number of this process' own descriptor that it names.

    `-` is standard output.  /dev/stdout, /dev/fd/63 and what a shell makes of `>(…)` mean what is open there, which
    need not have a name.
    """
    if str(file) == "-":
        return STDOUT
    at = file
    own = Path(f"/proc/{os.getpid()}/fd")
    for _ in range(_MAX_LINKS):
        if at.name.isdigit() and at.parent.resolve() == own:
            return int(at.name)
        if not at.is_symlink():
            break
        at = at.parent / at.readlink()
    return file
