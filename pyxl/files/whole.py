"""A current checkpoint that is about to be copied: whether it is whole, and whose it is."""

import os
from collections.abc import Iterable, Iterator

from pyxl.checkpoint.source import Source, behind
from pyxl.checkpoint.sums import BlockReader
from pyxl.errors import BadRecord
from pyxl.formats.legacy.old_config import OldConfig
from pyxl.formats.stream import trailer, walk
from pyxl.formats.stream.trailer import BLOCK, Identity, Trailer, block_sum, compare
from pyxl.formats.stream.xl_header import XlHeader


def whole(source: Source, header: XlHeader) -> Trailer | None:
    """Check a checkpoint to its end, and its sums if it has some; return its trailer, None where xl wrote it.

    The frames of a compressed one have sums of their own, which are compared when they are read.

    :raise StreamError: it is not as it was saved.
    """
    end = walk.end_of_stream(source.take, source.skip, header.size)
    found = behind(source, header, end)
    if found and found.sums:
        for error in damaged(found, sums(source, end, found.algorithm)):
            raise error
    return found


def sums(source: Source, size: int, algorithm: int) -> Iterator[int]:
    """Yield the sums of the blocks of the first ``size`` bytes; the source can seek."""
    reader = BlockReader(source.fd)
    for start in range(0, size, BLOCK):
        length = min(BLOCK, size - start)
        if source.is_summed:  # by another program: pyxl makes no sums twice
            yield block_sum(source.read(start, length), algorithm)
        else:
            yield reader.sum(start, length, algorithm)


def damaged(found: Trailer, sums: Iterable[int]) -> Iterator[BadRecord]:
    """Yield an error for each block whose sum is not the trailer's."""
    for index, sum_ in enumerate(sums):
        try:
            compare(found, index, sum_)
        except BadRecord as error:
            yield error


def identity_of(found: Trailer | None, header: XlHeader, saved: float) -> Identity:
    """Return whose a checkpoint is: as its trailer says, or its config; ``saved`` is for one without a trailer."""
    if found:
        return found.identity
    config = OldConfig(header)
    return trailer.identity(config.uuid, config.name, saved, os.uname().nodename, "", "")
