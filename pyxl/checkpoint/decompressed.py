"""A compressed file that is restored: threads decompress its frames and pass what they hold on to libxl."""

from pyxl.checkpoint import relay
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.frames import CompressedFile, FrameReader
from pyxl.checkpoint.passed_on import PassedOn
from pyxl.checkpoint.relay import Relay
from pyxl.checkpoint.source import Source, behind
from pyxl.checkpoint.stand_in import StandIn
from pyxl.checkpoint.sums import RunningSums
from pyxl.formats.seekable import Frame
from pyxl.formats.stream import libxl_v2, trailer, walk
from pyxl.formats.stream.xl_header import XlHeader


class DecompressedFile(PassedOn):
    """A compressed file whose framing, trailer and header are right.

    Each frame's checksum is compared before libxl gets anything of it.  It has the methods of checked.py's kinds.

    :raise StreamError: the file is bad as far as that is known without reading all of it.
    """

    def __init__(self, source: Source, file: CompressedFile, header: XlHeader) -> None:
        end = 0
        for element in walk.stream(source.take, source.skip, header.size):
            end = element.end
            if element.layer == "libxc":
                self._memory_end = end
        self.trailer = behind(source, header, end)
        super().__init__(source)
        self.size = source.size
        self._file = file
        self._begun = header.size + len(libxl_v2.start())
        self._start = source.read(header.size, len(libxl_v2.start()))
        self._end = end
        self._taken = 0
        self._stand_in: StandIn | None = None
        self._passed = header.size
        self._sums = RunningSums(*({self.trailer.algorithm} - {trailer.NONE} if self.trailer else ()))
        lanes = min(relay.threads() + 1, len(file.frames))
        self._thread = self._relay = Relay([_Lane(self, file) for _ in range(lanes)], relay.threads(), self.cut)

    def stand_in(self) -> StandIn | None:
        """Return what takes its place where the save-helper opens the frames; None where its content has sums."""
        if self.trailer and self.trailer.sums:
            return None
        start = self._begun - len(self._start)
        self._stand_in = StandIn(self._source, start, self._memory_end, self._end, self.trailer)
        return self._stand_in

    def start(self) -> None:
        """Pass on what libxl has to see whole; then begin with the rest."""
        write_all(self._to_libxl, self._start)
        self._thread.start()

    def passed(self) -> int:
        """Return how many bytes of the content libxl was given."""
        return self._passed

    def cut(self) -> bool:
        self._relay.stop()
        return super().cut()

    def close(self) -> None:
        if self._stand_in:
            self._stand_in.close()
        self._relay.stop()
        super().close()

    def take(self) -> Frame | None:
        """Return the next frame."""
        number = self._taken
        self._taken += 1
        return self._file.frames[number] if number < len(self._file.frames) else None

    def put(self, frame: Frame, content: memoryview) -> None:
        """Pass on what a frame holds of the stream; the next one comes next.

        :raise BadRecord: a sum of the trailer's differs: the content was bad before somebody compressed it.
        """
        passed = content[max(self._begun - frame.start, 0) : max(self._end - frame.start, 0)]
        if passed:
            write_all(self._to_libxl, passed)
            self._passed = min(frame.end, self._end)
        if self.trailer and self.trailer.sums:
            self._sums.add(content[: max(self._end - frame.start, 0)])
            if frame.end == self.size:
                for index, sum_ in enumerate(self._sums.all(self.trailer.algorithm)):
                    trailer.compare(self.trailer, index, sum_)
        if frame.end == self.size:
            self.cut()  # libxl has its END, and may want the stream's


class _Lane:
    """Decompresses frames, each as its turn comes."""

    def __init__(self, stream: DecompressedFile, file: CompressedFile) -> None:
        self._stream = stream
        self._reader = FrameReader(file.fd, file.frames)

    def take(self) -> bool:
        frame = self._stream.take()
        if frame is None:
            return False
        self._frame = frame
        return True

    def work(self) -> None:
        self._content = self._reader.content(self._frame)

    def put(self) -> None:
        self._stream.put(self._frame, self._content)
