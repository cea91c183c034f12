"""How a checkpoint is to be compressed."""

from typing import NamedTuple

from pyxl.errors import UsageError

#: zstd's levels that pyxl takes, without 0; those below are not smaller any more, those above need much memory.
LEVELS = range(-7, 20)
AUTO, OFF = "auto", "off"


class Compression(NamedTuple):
    """zstd's ``level``, None for one that adapts to the disk, and how many ``threads``, None for what the host has."""

    level: int | None = None
    threads: int | None = None

    @property
    def words(self) -> str:
        """How the save-helper's engine is asked for it."""
        return f"level={self.level or 0}" + (f" threads={self.threads}" if self.threads else "")


def compression(text: str, threads: int | None) -> Compression | None:
    """Return the compression that a user asks for by a level, `auto` or `off`; None for that.

    :raise UsageError: the text is none of them.
    """
    if text == OFF:
        return None
    if text == AUTO:
        return Compression(None, threads)
    try:
        level = int(text)
    except ValueError:
        level = 0
    if level not in LEVELS or not level:
        levels = f"a level from {LEVELS[0]} to {LEVELS[-1]}, but not 0"
        raise UsageError(f"compress is {AUTO}, {OFF}, or {levels}, and not {text!r}")
    return Compression(level, threads)
