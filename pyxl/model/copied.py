"""A copy of a disk, as the trailer of a checkpoint, the record of a clone and a journal have it."""

from typing import NamedTuple


class Copied(NamedTuple):
    """A copy of the disk ``vdev``: ``path`` was made of ``base``, by the way of that name (pyxl.disks.ways).

    Formats are libxl's.  ``size`` is in bytes; ``mark`` tells whether it is still what was made, see
    pyxl.disks.copies.  Both are empty until it is.
    """

    vdev: str
    way: str
    base: str
    base_format: str
    path: str
    format: str
    size: int = 0
    mark: str = ""
