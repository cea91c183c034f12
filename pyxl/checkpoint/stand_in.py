"""A compressed file that is restored by the save-helper's own engine, which opens its frames itself.

libxl reads a file in memory in its place, which has at their offsets what libxl itself reads, and nothing else.  Its
offset tells how far the helper has come, as that of a plain file does.  It has the methods of checked.py's kinds.
"""

import os

from pyxl.checkpoint.by_offset import ByOffset
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.source import Source
from pyxl.formats.stream import libxl_v2
from pyxl.formats.stream.trailer import Trailer


class StandIn(ByOffset):
    """The libxl stream from ``start`` to ``end`` of the content, whose memory ends at ``memory_end``.

    ``words`` tell the engine where the frames are.  Each frame's checksum is compared by who opens it.
    """

    def __init__(self, source: Source, start: int, memory_end: int, end: int, trailer: Trailer | None) -> None:
        self.fd = os.memfd_create("checkpoint", os.MFD_CLOEXEC)
        self.size = source.size
        self.trailer = trailer
        self.is_summed = trailer is not None
        self.words = f"frames=/proc/{os.getpid()}/fd/{source.fd}"
        self._memory = start + len(libxl_v2.start())
        for first, last in ((start, self._memory), (memory_end, end)):
            os.lseek(self.fd, first, os.SEEK_SET)
            write_all(self.fd, source.read(first, last - first))
        os.lseek(self.fd, start, os.SEEK_SET)

    def start(self) -> None:
        """Do nothing: the helper begins by itself."""

    def check(self) -> None:
        """Do nothing: the helper itself says which frame is bad."""

    def result(self) -> None:
        """Do nothing: who has read a frame has compared its checksum."""

    def close(self) -> None:
        """Close it; harmless when done twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
