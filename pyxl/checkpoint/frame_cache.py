"""Frames of packs that were opened: pages that lie scattered are read a few at a time, in the order of the guest.

Imports next to nothing: the save-helper starts through here.  One thread's.
"""

import os

from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.zstd import Decompressor, ZstdError
from pyxl.errors import BadRecord

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Pack(Protocol):
        """A file of frames."""

        fd: int
        name: str

        def frame(self, number: int) -> tuple[int, int, int]:
            """Return where a frame is in the file, its bytes there, and those that it holds.

            :raise IndexError: there is none of this number.
            """


#: Frames that are kept: some, and two of each pack, as a sweep over the guest has one or two of each in use.  More
#: would only cost the memory that they are opened into.
_SOME, _OF_EACH, _MOST = 4, 2, 64


class FrameCache:
    """Opens frames of ``packs``, each of which holds at most ``most`` bytes."""

    def __init__(self, packs: "Sequence[Pack]", most: int) -> None:
        self._packs = packs
        self._most = most
        self._most_kept = min(_SOME + _OF_EACH * len(packs), _MOST)
        self._decompressor = Decompressor()
        self._kept: dict[tuple[int, int], memoryview] = {}  # the one that was used last is the last

    def content(self, pack: int, number: int) -> memoryview:
        """Return what a frame holds; it is good until other frames were asked for.

        :raise BadRecord: it is not what was compressed.
        """
        key = pack, number
        room = self._kept.pop(key, None)
        if room is None:
            room = self._kept.pop(next(iter(self._kept))) if len(self._kept) >= self._most_kept else buffer(self._most)
            self.open(pack, number, room)
        self._kept[key] = room
        return room

    def open(self, pack: int, number: int, into: memoryview | tuple[int, int]) -> None:
        """Decompress a frame into memory that may be larger.

        :raise BadRecord: it is not what was compressed.
        """
        file = self._packs[pack]
        at, stored, content = file.frame(number)
        data = os.pread(file.fd, stored, at)
        try:
            found = self._decompressor.frame(data, into)
        except ZstdError as error:
            raise BadRecord(f"frame {number + 1} of pack {file.name} is not what was saved: {error}", at) from error
        if found != content:
            raise BadRecord(f"frame {number + 1} of pack {file.name} holds {found} bytes, not {content}", at)

    def size(self, pack: int, number: int) -> int:
        """Return how many bytes a frame holds."""
        return self._packs[pack].frame(number)[2]
