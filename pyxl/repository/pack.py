"""A pack: pages of a guest in zstd frames, the hash of each, and a seek table; `zstd -dc` makes all its pages of it.

Spec: README.md of this folder.  Does not know whose pages they are.
"""

import os
import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import xxhash

from pyxl.errors import BadRecord, StreamError, TruncatedStream
from pyxl.formats import seekable
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.memory import places

#: A skippable frame behind those of the pages; zstd's own tools pass over it.
_HASHES = struct.Struct("<II8s")  # magic, length of what follows, our magic; hashes, and their own sum
_HASHES_MAGIC, _OUR_MAGIC = 0x184D2A50, b"pyxlhash"
_SUM = struct.Struct("<Q")


def index(frames: Sequence[tuple[int, int]], hashes: bytes) -> bytes:
    """Return what belongs behind the frames, each (stored bytes, content bytes), of pages with ``hashes``."""
    table = _table(hashes)
    return table + seekable.encode([*frames, (len(table), 0)])


def _table(hashes: bytes) -> bytes:
    head = _HASHES.pack(_HASHES_MAGIC, len(_OUR_MAGIC) + len(hashes) + _SUM.size, _OUR_MAGIC)
    return head + hashes + _SUM.pack(xxhash.xxh64_intdigest(hashes))


class Pack:
    """A pack that is open for reads; ``size`` is the file's, in bytes.

    :raise StreamError: its seek table is missing or damaged, or it has not ``size`` bytes.
    :raise OSError: it cannot be read.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self.name = path.name
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.size = os.fstat(self.fd).st_size
            if size is not None and size != self.size:
                raise TruncatedStream(f"pack {self.name} has {self.size} bytes, not {size}", self.size)
            self._ats, self._contents = self._table()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __len__(self) -> int:
        return len(self._contents)

    def frame(self, number: int) -> tuple[int, int, int]:
        """Return where a frame is in the file, its bytes there, and those that it holds."""
        at = self._ats[number]
        return at, self._ats[number + 1] - at, self._contents[number]

    def stored(self, number: int) -> bytes:
        """Return a frame as it is in the file."""
        at, stored, _ = self.frame(number)
        return self._read(at, stored)

    def pages(self, number: int) -> int:
        """Return how many pages a frame holds."""
        return self._contents[number] // PAGE_SIZE

    def hashes(self) -> "PackHashes":
        """Return the hashes of its pages; those of a damaged table are none."""
        hashes = self._hashes() or bytes(8 * self._pages())
        firsts = array("Q", accumulate((content // PAGE_SIZE for content in self._contents), initial=0))
        return PackHashes(memoryview(hashes).cast("Q"), firsts)

    def has_hashes(self) -> bool:
        """Tell whether the table of the hashes is right."""
        return self._hashes() is not None

    def _hashes(self) -> bytes | None:
        count = self._pages()
        size = _HASHES.size + 8 * count + _SUM.size
        data = os.pread(self.fd, size, self._ats[-1])
        hashes = data[_HASHES.size : -_SUM.size]
        is_right = data == _table(hashes) and len(data) == size
        return hashes if is_right else None

    def _pages(self) -> int:
        return sum(self._contents) // PAGE_SIZE

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self.fd, length, offset)
        if len(data) < length:
            raise TruncatedStream(f"pack {self.name} is cut short", offset)
        return data

    def _table(self) -> tuple["array[int]", "array[int]"]:
        """Return where each frame begins, and where the last one ends; and what each holds."""
        try:
            stored, contents = seekable.columns(self._read, self.size)
        except StreamError as error:
            raise type(error)(f"pack {self.name}: {error.what}", error.offset) from error
        if not contents or contents.pop():
            raise BadRecord(f"pack {self.name} has no hashes at its end", 0)
        ats = array("Q", accumulate(stored[:-1], initial=0))
        if any(not 0 < content <= places.SLOTS * PAGE_SIZE or content % PAGE_SIZE for content in contents):
            raise BadRecord(f"pack {self.name} has frames that hold no pages", 0)
        return ats, contents


class PackHashes:
    """The hash of each page of a pack, 0 where it is not known."""

    def __init__(self, hashes: "memoryview[int]", firsts: "array[int]") -> None:
        self._hashes = hashes
        self._firsts = firsts

    def of(self, frame: int, slot: int, pages: int) -> "memoryview[int]":
        """Return the hashes of pages that lie in a frame from a slot on."""
        first = self._firsts[frame] + slot
        return self._hashes[first : first + pages]
