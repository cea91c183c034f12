"""Open a checkpoint for reads anywhere in it: a file, or one of a repository, which is seen as the file that it holds.

A legacy one is seen as what `pyxl convert` would make of it.
"""

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pyxl.checkpoint.source import Source
from pyxl.errors import BadRecord, PyxlError, StreamError, TruncatedStream, UnsupportedStream
from pyxl.formats.stream.xl_header import FLAG_STREAM_V2, XlHeader, parse
from pyxl.repository.reference import reference


@contextmanager
def opened(path: Path, *, as_it_is: bool = False) -> Iterator[Source]:
    """Open a checkpoint, or REPO@N, for reads anywhere in it.

    ``as_it_is`` refuses a legacy one whose device state no current qemu can load, instead of leaving that out.

    :raise PyxlError: it is no file or block device, so that it cannot seek; or the repository has it not whole.
    :raise OSError: it cannot be read.
    """
    if named := reference(path):
        from pyxl.repository.view import viewed

        with closing(viewed(named)) as view:
            yield view
        return
    # Without O_NONBLOCK a pipe without a writer would block.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        source = Source(fd)
        if not source.seekable:
            raise PyxlError(f"{path} is no file", "What comes through a pipe can be looked at once it is in a file.")
        yield seen_through(source, as_it_is=as_it_is)
    finally:
        os.close(fd)


def settled(path: Path) -> Path:
    """Return a path that goes on to name the same checkpoint: REPO@latest becomes REPO@7, a file stays.

    :raise PyxlError: the repository has none.
    """
    named = reference(path)
    if named is None:
        return path
    from pyxl.repository.repository import Repository

    return Path(f"{named.path}@{Repository(named.path).resolve(named.which)}")


def seen_through(source: Source, *, as_it_is: bool = False) -> Source:
    """Return ``source``, or a view of it where it is a legacy checkpoint in a file."""
    try:
        header = parse(source.take)
    except StreamError:  # who reads it meets that again, in its place
        return source
    finally:
        source.offset = 0
    return source if header.is_v2 else LegacyView(source.fd, header, as_it_is)


class LegacyView(Source):
    """A legacy checkpoint as a current one without a trailer; nothing is written, and pages are read when asked for.

    ``left_out`` says that its device state is qemu-traditional's, and that power-on stands in its place.  Where the
    file is bad, the view ends, and a read beyond its end raises the reason, with the offset in the file.
    """

    def __init__(self, fd: int, header: XlHeader, as_it_is: bool) -> None:
        super().__init__(fd)
        self._made = bytearray()
        # For each part its start in the view, and where it lies: in the file (even) or in _made (odd), times two.
        self._starts, self._places = array("Q"), array("Q")
        self.left_out = False
        self._failure = self._build(header, skip_device_state=False)
        if isinstance(self._failure, UnsupportedStream) and not as_it_is:
            self.left_out = self._build(header, skip_device_state=True) is None
            self._failure = None if self.left_out else self._failure

    def peek(self, length: int) -> bytes:
        return self._some(self.offset, length)

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        while length:
            part = self._some(offset, length)
            if not part:
                raise self._failure or TruncatedStream(f"file ends {length} bytes too early", offset)
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, length: int) -> bytes:
        data = self.read(self.offset, length)
        self.offset += length
        return data

    def skip(self, length: int) -> None:
        if self.offset + length > self.size and self._failure:
            raise self._failure
        super().skip(length)

    def expect_end(self, has_trailer: bool) -> None:
        if self._failure:
            raise self._failure
        super().expect_end(has_trailer)

    def _build(self, header: XlHeader, skip_device_state: bool) -> StreamError | None:
        """Lay the converted stream out, and return why it ends too early: pages stay in the file, all else is kept."""
        from pyxl.checkpoint.converted import PagesSkipped
        from pyxl.formats.legacy.convert import convert

        self._made = bytearray(header._replace(flags=header.flags | FLAG_STREAM_V2).encode())
        self._starts, self._places = array("Q", [0]), array("Q", [1])
        self.size = len(self._made)
        looking = PagesSkipped(self.fd)
        looking.offset = header.size
        try:
            for piece in convert(looking, skip_device_state):
                if isinstance(piece, memoryview):
                    self._add(2 * looking.skipped_at, looking.offset - looking.skipped_at)
                else:
                    if not self._places[-1] & 1:
                        self._add(2 * len(self._made) + 1, 0)
                    self._made += piece
                    self.size += len(piece)
            if not self.is_device and looking.peek(1):
                raise BadRecord("bytes behind the legacy stream", looking.offset)
        except StreamError as error:
            return error
        return None

    def _add(self, place: int, length: int) -> None:
        self._starts.append(self.size)
        self._places.append(place)
        self.size += length

    def _some(self, offset: int, length: int) -> bytes:
        """Return bytes from ``offset`` on, all of one part; none only at the end."""
        if offset >= self.size:
            return b""
        part = bisect_right(self._starts, offset) - 1
        end = self._starts[part + 1] if part + 1 < len(self._starts) else self.size
        length = min(length, end - offset)
        place = self._places[part]
        start = (place >> 1) + offset - self._starts[part]
        return bytes(self._made[start : start + length]) if place & 1 else self._pread(length, start)
