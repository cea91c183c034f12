"""A compressed stream that comes through a pipe: a thread decompresses it into another pipe."""

import os

from pyxl.checkpoint.descriptors import read_some, write_all
from pyxl.checkpoint.summed import pipe
from pyxl.checkpoint.sums import CHUNK
from pyxl.checkpoint.worker import Worker
from pyxl.checkpoint.zstd import Inflation, ZstdError
from pyxl.errors import BadRecord, TruncatedStream
from pyxl.formats import seekable

#: Bytes that a frame must have shown before it can be told whether it has a checksum.
_HEAD = 5


class Inflated:
    """What the frames hold that come from ``source``, which it closes, behind the bytes ``head``; read it from ``fd``.

    ``is_summed`` tells at the end whether all frames had checksums.  The seek table of a file is passed over.
    """

    def __init__(self, source: int, head: bytes) -> None:
        self.fd, self._to_reader = pipe()
        self.is_summed = True
        self._source = source
        self._size = 0
        self._inflation = Inflation()
        self._inflation.add(head)
        self._worker = Worker(self._pass_on, self._end)
        self._worker.start()

    def check(self) -> None:
        """Raise why the stream has ended, if it should not have."""
        self._worker.check()

    def _pass_on(self) -> None:
        inflation = self._inflation
        while True:
            begins = not inflation.is_within
            if len(inflation.rest) < (_HEAD if begins else 1) and not inflation.has_more:
                data = read_some(self._source, CHUNK)
                if not data:
                    break
                inflation.add(bytes(inflation.rest) + data)
                continue
            if begins and inflation.rest[:4] == seekable.MAGIC:
                self.is_summed = self.is_summed and seekable.has_sum(bytes(inflation.rest[:_HEAD]))
            try:
                content = inflation.content()
            except ZstdError as error:
                raise BadRecord(f"the compressed stream is damaged: {error}", self._size) from error
            write_all(self._to_reader, content)
            self._size += len(content)
        if inflation.is_within or inflation.rest:
            raise TruncatedStream("the compressed stream ends within a frame", self._size)
        self._end()

    def _end(self) -> None:
        os.close(self._source)
        os.close(self._to_reader)
