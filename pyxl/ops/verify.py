"""Check a checkpoint alone: its framing and every sum, without Xen and without building anything."""

import os
from pathlib import Path

from pyxl.checkpoint.checked import CheckedFile, passed_on
from pyxl.checkpoint.source import Source
from pyxl.errors import UnsupportedStream
from pyxl.formats import xl_header
from pyxl.formats.trailer import Trailer


def verify(path: Path) -> Trailer | None:
    """Return the trailer that a checkpoint agrees with, None where xl wrote it and its framing alone is right.

    :raise StreamError: the file is bad.
    :raise OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        source = Source(fd)
        header = xl_header.parse(source.take)
        if not header.is_v2:
            raise UnsupportedStream("a legacy stream of Xen 4.5 or older", header.size, "Stock xl takes it.")
        if not source.seekable:
            return passed_on(source, header, lambda _: None)
        file = CheckedFile(source, header)
        file.start()
        file.result()
        return file.trailer
    finally:
        os.close(fd)
