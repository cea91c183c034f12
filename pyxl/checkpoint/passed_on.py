"""What checkpoints have in common that a thread of pyxl's passes on to libxl through a pipe."""

import os

from pyxl.checkpoint.relay import Relay
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.summed import PATIENCE_SECONDS, pipe
from pyxl.checkpoint.worker import Worker
from pyxl.formats.stream.trailer import Trailer


class PassedOn:
    """A stream that ``_thread`` writes to a pipe, from whose other end, ``fd``, libxl reads it.

    libxl's own header and LIBXC_CONTEXT are to be in the pipe before libxl starts: then it can be cut at any time.
    """

    trailer: Trailer | None = None
    _thread: Worker[None] | Relay

    def __init__(self, source: Source) -> None:
        self.fd, self._to_libxl = pipe()
        self._source = source

    @property
    def is_summed(self) -> bool:
        """Whether checksums show that it is what was saved; known with the result."""
        return self.trailer is not None and (bool(self.trailer.sums) or self._source.is_summed)

    def cut(self) -> bool:
        """Have the reader of the stream see its end; what still comes is not passed on."""
        # In place, so that nothing else gets the number while the thread uses it.
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, self._to_libxl, inheritable=False)
        os.close(nowhere)
        return True

    def check(self) -> None:
        """Raise what was found so far, if something was: libxl only knows that its file ended."""
        self._thread.check()

    def result(self) -> None:
        """Wait until the stream has ended and all is checked.

        :raise StreamError: it is bad.
        """
        self._thread.wait()
        self._thread.check()

    def close(self) -> None:
        """Stop passing on, and wait only briefly for a silent sender; harmless when done twice."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        self._thread.wait(PATIENCE_SECONDS)
        if not self._thread.running:
            os.close(self._to_libxl)
            self._source.close()
