"""The sums of a checkpoint's blocks: of bytes as they pass, and of a file that can be read twice.

Does not know what the sums are for, nor what is in the blocks.
"""

import os

from pyxl.checkpoint.buffers import buffer
from pyxl.errors import TruncatedStream
from pyxl.formats.stream.trailer import BLOCK, HASHES, XXH64, block_sum

#: Bytes that a pipe holds, and that one copy takes.
CHUNK = 1 << 20


class RunningSums:
    """The sums of bytes as they pass, by each of ``algorithms``; ``size`` counts the bytes."""

    def __init__(self, *algorithms: int) -> None:
        self.size = 0
        self._hashes = {each: HASHES[each]() for each in algorithms}
        self._whole: dict[int, list[int]] = {each: [] for each in algorithms}

    def keep(self, algorithm: int) -> None:
        """Make only the sums of one algorithm from now on, or with NONE no more at all."""
        self._hashes = {each: hash_ for each, hash_ in self._hashes.items() if each == algorithm}

    def add(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            part = view[: BLOCK - self.size % BLOCK]
            self.size += len(part)
            view = view[len(part) :]
            for algorithm, block in self._hashes.items():
                block.update(part)
                if not self.size % BLOCK:
                    self._whole[algorithm].append(block.intdigest())
                    block.reset()

    def all(self, algorithm: int) -> list[int]:
        """Return the sums of all that has passed, by an algorithm that was kept; the last block may be partial."""
        whole = self._whole[algorithm]
        return [*whole, self._hashes[algorithm].intdigest()] if self.size % BLOCK else list(whole)


class BlockReader:
    """Sums of a file's blocks, read into one buffer at a position of its own: ``fd``'s offset does not move."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = buffer(BLOCK)

    def sum(self, start: int, length: int, algorithm: int = XXH64) -> int:
        """Return the sum of ``length`` bytes from ``start``.

        :raise TruncatedStream: the file has fewer.
        """
        done = 0
        while done < length:
            got = os.preadv(self._fd, [self._buffer[done:length]], start + done)
            if not got:
                raise TruncatedStream("file ends within a block that it had", start + done)
            done += got
        return block_sum(self._buffer[:length], algorithm)
