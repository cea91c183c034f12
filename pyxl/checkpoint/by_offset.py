"""A stream that libxl and the save-helper read from one file, whose offset they share: it says how far they are."""

import os


class ByOffset:
    """What streams have in common that are read from ``fd``; ``_memory`` is the offset where the memory begins."""

    fd: int
    _memory: int

    def passed(self) -> int:
        """Return how many bytes of the stream libxl and the save-helper have read."""
        return os.lseek(self.fd, 0, os.SEEK_CUR)

    def cut(self) -> bool:
        """Have all readers of the stream see its end at once.

        Return False and do nothing while libxl has not come to the memory.
        """
        if self.passed() < self._memory:
            return False
        os.lseek(self.fd, 0, os.SEEK_END)
        return True
