"""A file that is made out of a checkpoint; it gets its name only when it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.worker import Worker
from pyxl.errors import UsageError
from pyxl.interrupt import last_chance
from pyxl.model.report import Report


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

    def sync(self) -> None:
        """Wait until it is on the disk."""

    def commit(self) -> None:
        """Give it its name."""

    def close(self) -> None:
        """Close it, and remove it if it has no name yet."""


def discard(made: Unnamed) -> str | None:
    """Close what does not become a checkpoint, and say so; say nothing if it has its name already."""
    has_name = made.committed
    made.close()
    return None if has_name else "nothing written"


def commit(made: Unnamed, report: Report, size: int) -> None:
    """Wait for the disk, and give a checkpoint that is made of ``size`` bytes its name.

    :raise OSError: it has none, and nothing is lost.
    """
    report.step("waiting for the disk")
    report.progress(size, size)
    syncing = Worker(made.sync)
    syncing.start()
    syncing.result()
    last_chance()
    made.commit()
