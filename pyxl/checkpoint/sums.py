"""The sums of a checkpoint's blocks: of bytes as they pass, and of a file that can be read twice.

Does not know what the sums are for, nor what is in the blocks.
"""

import os

from pyxl.errors import TruncatedStream
from pyxl.formats.stream.trailer import BLOCK, BlockHash, block_sum

#: Bytes that a pipe holds, and that one copy takes.
CHUNK = 1 << 20


class RunningSums:
    """The sums of bytes as they pass; ``size`` counts them."""

    def __init__(self) -> None:
        self.size = 0
        self._whole: list[int] = []
        self._block = BlockHash()

    def add(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            part = view[: BLOCK - self.size % BLOCK]
            self._block.update(part)
            self.size += len(part)
            view = view[len(part) :]
            if not self.size % BLOCK:
                self._whole.append(self._block.intdigest())
                self._block.reset()

    def all(self) -> list[int]:
        """Return the sums of all that has passed; the last block may be partial."""
        return [*self._whole, self._block.intdigest()] if self.size % BLOCK else list(self._whole)


class BlockReader:
    """Sums of a file's blocks, read into one buffer at a position of its own: ``fd``'s offset does not move."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = memoryview(bytearray(BLOCK))

    def sum(self, start: int, length: int) -> int:
        """Return the sum of ``length`` bytes from ``start``.

        :raise TruncatedStream: the file has fewer.
        """
        done = 0
        while done < length:
            got = os.preadv(self._fd, [self._buffer[done:length]], start + done)
            if not got:
                raise TruncatedStream("file ends within a block that it had", start + done)
            done += got
        return block_sum(self._buffer[:length])
