"""A checkpoint of a repository that is restored; it has the methods of the kinds in checkpoint/checked.py."""

import os

from pyxl.checkpoint.by_offset import ByOffset
from pyxl.checkpoint.checked import CheckedPipe
from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.source import behind
from pyxl.formats.stream import libxl_v2, walk
from pyxl.formats.stream.trailer import Trailer
from pyxl.formats.stream.xl_header import XlHeader
from pyxl.repository.view import View


class Unpacked(CheckedPipe):
    """A checkpoint that libxl reads from a pipe, as xl's file; or, where an engine opens packs itself, its stand-in.

    :raise StreamError: it is bad, as far as that is known without reading its pages.
    """

    def __init__(self, view: View, header: XlHeader) -> None:
        found = behind(view, header, walk.end_of_stream(view.take, view.skip, header.size))
        self.identity = found.identity if found else None
        super().__init__(view, header)
        self.size = view.size
        self._view = view
        self._start = header.size
        self._stand_in: PackedStandIn | None = None

    def start(self) -> None:
        self._view.offset = self._start  # others have looked at the view since
        super().start()

    def stand_in(self) -> "PackedStandIn":
        """Return what takes its place where the save-helper opens the packs."""
        self._stand_in = PackedStandIn(self._view, self._start)
        return self._stand_in

    def close(self) -> None:
        if self._stand_in:
            self._stand_in.close()
        super().close()
        self._view.close()


class PackedStandIn(ByOffset):
    """A file in memory that has at their offsets all of a checkpoint from ``start`` on but the pages.

    libxl and the helper read it; its offset tells how far they have come.  ``words`` tell the helper where the pages
    are.  Each frame's checksum is compared by who opens it.
    """

    is_summed = True

    def __init__(self, view: View, start: int) -> None:
        self.fd = os.memfd_create("checkpoint", os.MFD_CLOEXEC)
        self._plan = os.memfd_create("plan", os.MFD_CLOEXEC)
        self.size = view.size
        self.trailer: Trailer | None = None
        self._memory = start + len(libxl_v2.start())
        layout = view.layout
        for part, at in enumerate(layout.starts):
            os.lseek(self.fd, at, os.SEEK_SET)
            write_all(self.fd, layout.inline(part))
        os.lseek(self.fd, start, os.SEEK_SET)
        write_all(self._plan, layout.plan())
        fds = ",".join(str(fd) for fd in (self._plan, *(pack.fd for pack in view.packs)))
        self.words = f"plan=/proc/{os.getpid()}/fd/{fds}"

    def start(self) -> None:
        """Do nothing: the helper begins by itself."""

    def check(self) -> None:
        """Do nothing: the helper itself says which frame is bad."""

    def result(self) -> None:
        """Do nothing: who has read a frame has compared its checksum."""

    def close(self) -> None:
        """Close it; harmless when done twice."""
        for fd in (self.fd, self._plan):
            if fd >= 0:
                os.close(fd)
        self.fd = self._plan = -1
