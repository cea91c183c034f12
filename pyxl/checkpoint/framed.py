"""A checkpoint of frames, those of the memory made by the save-helper's own engine, all else by this process.

It has the methods of summed.py's kinds; the content is what they write, but its trailer has no sums.
"""

from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.frame_table import ByTable, FrameTable
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.zstd import Compressor
from pyxl.formats import seekable
from pyxl.formats.stream import trailer
from pyxl.formats.stream.trailer import Identity, Trailer
from pyxl.model.compression import Compression

#: Of what is not memory: a config and a device state.
_LEVEL = 1
_FRAME = 2 << 20


class Framed(ByTable):
    """A new file of frames; the save-helper appends to the first of ``fds`` and tells of each frame in the second."""

    def __init__(self, file: NewFile, how: Compression) -> None:
        self._table = FrameTable()
        self.fds = (file.fd, self._table.fd)
        self.words = how.words
        self._fd = file.fd

    def write(self, data: bytes) -> None:
        """Append all of ``data``.

        :raise OSError: the target took no more.
        """
        for at in range(0, len(data), _FRAME):
            part = data[at : at + _FRAME]
            frame = Compressor(_LEVEL, len(part)).frame(part)
            write_all(self._fd, frame)
            self._table.add(len(frame), len(part))

    def end(self, identity: Identity) -> int:
        """Append the trailer and the seek table, and return the size of the content; nothing may be written any more.

        :raise OSError: the target took no more.
        """
        self.write(trailer.encode(Trailer(self.size(), (), identity, trailer.NONE)))
        size = self.size()
        table = seekable.encode(self._table.entries())
        write_all(self._fd, table)
        self._behind = len(table)
        return size

    def close(self) -> None:
        """Close what the target does not; harmless when done twice."""
        self._table.close()
