"""A file that is made out of a checkpoint; it gets its name only when it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.checkpoint.new_file import NewFile
from pyxl.errors import UsageError


@contextmanager
def output(target: Path | None, *sources: Path) -> Iterator[NewFile]:
    """Yield a new file to write to, standard output for None; it gets its name at the end.

    :raise UsageError: it would replace one of ``sources``.
    :raise OSError: it cannot be written to.
    """
    if target is not None and target.exists() and any(target.samefile(source) for source in sources):
        raise UsageError(f"{target} is the checkpoint itself")
    with NewFile(1 if target is None else target) as file:
        yield file
        file.sync()
        file.commit()
