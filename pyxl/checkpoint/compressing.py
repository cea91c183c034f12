"""A checkpoint that is compressed while it is written, to a file or a pipe, by threads of this process.

It has the methods of summed.py's kinds.  The content is what they write, but its trailer has no sums: each frame has a
checksum of its own.
"""

import os
import time
from array import array

from pyxl.checkpoint import relay
from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.pace import Pace, Writeback
from pyxl.checkpoint.relay import Relay
from pyxl.checkpoint.summed import PATIENCE_SECONDS, pipe
from pyxl.checkpoint.zstd import Compressor
from pyxl.formats import seekable
from pyxl.formats.stream import trailer
from pyxl.formats.stream.trailer import Identity, Trailer
from pyxl.model.compression import Compression

#: Bytes of content in a frame.
FRAME = 2 << 20


class Compressing:
    """A new file of frames; the save-helper and ``write`` append the content to ``fd``, a pipe.

    Each thread holds a frame's content and the frame, so a slow target slows the writer down.
    """

    def __init__(self, file: NewFile, how: Compression) -> None:
        self._from_writer, self.fd = pipe()
        self.fds, self.words = (self.fd,), ""
        # A descriptor of its own, so that nothing else gets the number while a thread writes.
        self._target = os.dup(file.fd)
        self._contents, self._frames = array("I"), array("I")
        self._taken = self._stored = 0
        self.pace = Pace(how.level)
        self._writeback = Writeback(self._target)
        threads = how.threads or relay.threads()
        # Two lanes more than work at once: one takes content and one puts a frame down meanwhile.
        self._relay = Relay([_Lane(self) for _ in range(threads + 2)], threads, self._refuse)
        self._relay.start()

    def write(self, data: bytes) -> None:
        """Append all of ``data``.

        :raise OSError: the target took no more.
        """
        try:
            write_all(self.fd, data)
        except BrokenPipeError:
            self._relay.check()
            raise

    def size(self) -> int:
        """Return how many bytes of the content were taken so far."""
        return self._taken

    def stored(self) -> int:
        """Return how many bytes the target has got so far."""
        return self._stored

    def check(self) -> None:
        """Raise the error of the target or the disk, if there was one: the save-helper only sees a broken pipe."""
        self._relay.check()

    def end(self, identity: Identity) -> int:
        """Append the trailer and the seek table, and return the size of the content; nothing may be written any more.

        :raise OSError: the target took no more.
        """
        self._close_own()
        self._relay.wait()
        self._relay.check()
        end = trailer.encode(Trailer(self._taken, (), identity, trailer.NONE))
        self.put(Compressor(self.pace.level, len(end)).frame(end), len(end))
        table = seekable.encode(zip(self._frames, self._contents, strict=True))
        write_all(self._target, table)
        self._stored += len(table)
        self._close_ends()
        return self._taken + len(end)

    def close(self) -> None:
        """Stop compressing, and wait only briefly for a slow target; harmless when done twice."""
        self._relay.stop()
        self._close_own()
        self._relay.wait(PATIENCE_SECONDS)
        if not self._relay.running:
            self._close_ends()

    def fill(self, content: memoryview) -> int:
        """Read content until there is a frame of it, and return its size; 0 at the end."""
        began = time.monotonic()
        done = 0
        while done < len(content) and (got := os.readv(self._from_writer, [content[done:]])):
            done += got
            self._taken += got
        self.pace.waited(time.monotonic() - began)
        return done

    def put(self, frame: memoryview, content: int) -> None:
        """Append a frame to the target, and wait for the disk where it is far behind.

        :raise OSError: the target took no more.
        """
        began = time.monotonic()
        write_all(self._target, frame)
        self._frames.append(len(frame))
        self._contents.append(content)
        self._stored += len(frame)
        has_synced = self._writeback.wrote(len(frame))
        self.pace.stored(content, time.monotonic() - began, has_synced)

    def _refuse(self) -> None:
        """Have who writes see a broken pipe."""
        # In place, so that nothing else gets the number while a thread uses it.
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, self._from_writer, inheritable=False)
        os.close(nothing)

    def _close_ends(self) -> None:
        """Close what the threads used, once they have ended."""
        if self._target >= 0:
            os.close(self._from_writer)
            os.close(self._target)
            self._target = -1

    def _close_own(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Lane:
    """Compresses frames, each as its turn comes."""

    def __init__(self, stream: Compressing) -> None:
        self._stream = stream
        self._content = buffer(FRAME)
        self._compressor = Compressor(stream.pace.level, FRAME)

    def take(self) -> bool:
        self._length = self._stream.fill(self._content)
        return self._length > 0

    def work(self) -> None:
        self._compressor.level = self._stream.pace.level
        self._frame = self._compressor.frame(self._content[: self._length])

    def put(self) -> None:
        self._stream.put(self._frame, self._length)
