"""The restore journey, in the order that it happens (architecture: 6, "restore").

Everything that can be known before a domain is built is checked before a domain is built.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyxl.checkpoint.journal import Journal
from pyxl.checkpoint.source import Source
from pyxl.errors import UnsupportedStream
from pyxl.formats import cpu_policy, libxl_v2, xl_header
from pyxl.formats.cpu_policy import CpuPolicy
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.phases import Phase
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops import programs
from pyxl.ops.create import Building, start
from pyxl.ops.preflight import can_be_built, fits_this_host
from pyxl.ops.report import Report
from pyxl.ops.undo import Undo


@dataclass(frozen=True, slots=True)
class Restored:
    """A domain that is back: ``size`` of the file in bytes (0 for a pipe), ``seconds`` that it took."""

    domid: int
    name: str
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is open for restore: ``fd`` stands at the first byte of the stream.

    ``policy`` is cpu_policy.of_stream's; None for a pipe too, which can be read only once.
    """

    path: Path
    fd: int
    size: int
    header: xl_header.XlHeader
    policy: tuple[bool, CpuPolicy] | None

    def passed(self) -> int:
        """Return how many bytes libxl and the save-helper have read so far."""
        return os.lseek(self.fd, 0, os.SEEK_CUR) if self.size else 0

    def cut(self) -> None:
        """Have whoever reads the stream meet its end at once: the offset is shared with all of them."""
        if self.size:
            os.lseek(self.fd, 0, os.SEEK_END)


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open a checkpoint and check it as far as it can be read twice: a file to its end, a pipe its header.

    :raise PyxlError: there is no such file, or it is no checkpoint, or not a whole one.
    """
    with ExitStack() as opened:
        with Undo(f"restore {path}") as undo:
            undo.enter(Phase.OPEN)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, fd)
            undo.enter(Phase.CHECK_FILE)
            source = Source(fd)
            header = xl_header.parse(source.take)
            if not header.is_v2:
                raise UnsupportedStream("a legacy stream of Xen 4.5 or older", header.size, "Stock xl takes it.")
            policy = None
            if source.seekable:
                libxl_v2.walk(source.take, source.skip, header.size)
                source.offset = header.size
                policy = cpu_policy.of_stream(source.take, header.size)
                os.lseek(fd, header.size, os.SEEK_SET)
        yield Checkpoint(path, fd, source.size, header, policy)


def restore(
    xen: Hypervisor, store: Store, checkpoint: Checkpoint, config: GuestConfig, report: Report,
    *, paused: bool = False, start_monitor: Callable[[int], None] | None = None,
) -> Restored:  # fmt: skip
    """Build a domain from a checkpoint and let it go on.

    ``start_monitor`` is called with the domid before the guest runs.

    :raise OperationError: it failed, and nothing of the domain is left, or the message says what is.
    """
    started = time.monotonic()
    with Undo(f'restore {checkpoint.path} "{config.name}"') as undo:
        undo.keep(Journal("restore", config.uuid, config.name))
        can_be_built(xen, store, config)
        fits_this_host(xen, checkpoint.policy)
        undo.enter(Phase.BUILD, target=str(checkpoint.path))
        report.step("restoring memory")
        helper = programs.find(programs.SAVE_HELPER)
        building = Building(
            xen, undo, config.uuid, lambda: xen.restore(config.to_json(), checkpoint.fd, helper), checkpoint.cut
        )
        domid = building.result(lambda: report.progress(checkpoint.passed(), checkpoint.size), report.interval)
        report.progress(checkpoint.size, checkpoint.size)
        undo.enter(Phase.CHECKSUMS)
        start(xen, undo, domid, paused, start_monitor)
    return Restored(domid, config.name, checkpoint.size, time.monotonic() - started)
