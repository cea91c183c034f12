"""A file that is made out of a checkpoint; it gets its name only when it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pyxl.checkpoint.new_file import NewFile
from pyxl.errors import UsageError


@contextmanager
def output(target: Path | None, *sources: Path) -> Iterator[NewFile]:
    """Yield a new file to write to, standard output for None; it gets its name at the end.

    :raise UsageError: it would replace one of ``sources``; one of a repository is no file.
    :raise OSError: it cannot be written to.
    """
    if target is not None and target.exists() and any(target.samefile(each) for each in sources if each.exists()):
        raise UsageError(f"{target} is the checkpoint itself")
    with NewFile(1 if target is None else target) as file:
        yield file
        file.sync()
        file.commit()


class Unnamed(Protocol):
    """What becomes a checkpoint, once it has its name."""

    committed: bool

    def close(self) -> None:
        """Close it, and remove it if it has no name yet."""


def discard(made: Unnamed) -> str | None:
    """Close what does not become a checkpoint, and say so; say nothing if it has its name already."""
    has_name = made.committed
    made.close()
    return None if has_name else "nothing written"
