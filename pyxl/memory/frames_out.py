"""A stream as zstd frames, each of which can be opened alone: a head of pages, or 1 to 4 MiB of them.

Imports next to nothing: the save-helper starts through here.
"""

import ctypes
import os
import struct
import time

from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.pace import Pace, Writeback
from pyxl.checkpoint.zstd import Compressor
from pyxl.memory.batches import FRAMES, WORD
from pyxl.memory.zeros import MOST, ZEROS_AT, is_zero
from pyxl.xen.foreign import PAGE_SIZE

#: Stored bytes, content bytes; pyxl.formats.seekable has it too, but imports more than the helper may.
ENTRY = struct.Struct("<II")
#: The longest head: of a record with a word for each frame of a batch.
_HEAD_BYTES = 16 + WORD * FRAMES


class FramesSink:
    """Appends frames to ``fd``, and for each of them an entry to ``table``, another file."""

    def __init__(self, fd: int, table: int, level: int | None) -> None:
        self.pace = Pace(level)
        self._fd = fd
        self._table = table
        self._writeback = Writeback(fd)
        compressor = Compressor(self.pace.level, MOST * PAGE_SIZE)
        self.zeros = bytes(compressor.frame((ZEROS_AT, MOST * PAGE_SIZE)))

    def write(self, data: bytes) -> None:
        self.put(Compressor(self.pace.level, len(data)).frame(data), len(data))

    def pages(self) -> "FramesPages":
        return FramesPages(self)

    def put(self, frame: "bytes | memoryview", content: int) -> None:
        """Append a frame that holds ``content`` bytes.

        :raise OSError: the target takes no more, or the disk has failed.
        """
        began = time.monotonic()
        write_all(self._fd, frame)
        has_synced = self._writeback.wrote(len(frame))
        self.tell(len(frame), content)
        self.pace.stored(content, time.monotonic() - began, has_synced)

    def tell(self, stored: int, content: int) -> None:
        """Add an entry to the table."""
        os.write(self._table, ENTRY.pack(stored, content))

    def end(self) -> None:
        """Do nothing: all is written."""


class FramesPages:
    """Pages that are compressed as they are mapped; of each MiB of zero pages, the frame is known."""

    def __init__(self, sink: FramesSink) -> None:
        self._sink = sink
        self._head_compressor = Compressor(sink.pace.level, _HEAD_BYTES)
        self._compressor = Compressor(sink.pace.level, FRAMES * PAGE_SIZE)
        self._copy = buffer(FRAMES * PAGE_SIZE)
        self._copy_at = ctypes.addressof(ctypes.c_char.from_buffer(self._copy))
        self._frames: list[tuple[bytes | memoryview, int]] = []

    def make(self, head: bytes, address: int, count: int) -> None:
        self._compressor.level = self._sink.pace.level
        self._frames = [(self._head_compressor.frame(head), len(head))]
        begun = 0
        for first in range(0, count, MOST):
            if count - first >= MOST and is_zero(address + first * PAGE_SIZE, MOST):
                self._add(address, begun, first)
                self._frames.append((self._sink.zeros, MOST * PAGE_SIZE))
                begun = first + MOST
        self._add(address, begun, count)

    def put(self) -> None:
        for frame, content in self._frames:
            self._sink.put(frame, content)

    def _add(self, address: int, first: int, end: int) -> None:
        if size := (end - first) * PAGE_SIZE:
            # zstd reads its input more than once, and the domain may run, or a daemon write to a page that it shares:
            # the frame would have another checksum than its content.
            ctypes.memmove(self._copy_at, address + first * PAGE_SIZE, size)
            # The compressor's own memory is good for one frame.
            self._frames.append((bytes(self._compressor.frame((self._copy_at, size))), size))
