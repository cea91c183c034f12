"""The restore journey, in the order that it happens (architecture: 6, "restore").

Everything that can be known before a domain is built is checked before a domain is built.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyxl.checkpoint.checked import CheckedFile, CheckedPipe, checked
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.undo import Undo
from pyxl.errors import UsageError, XenError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import cpu_policy, xl_header
from pyxl.formats.stream.cpu_policy import CpuPolicy
from pyxl.model.phases import After, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops import programs
from pyxl.ops.create import Building, start
from pyxl.ops.preflight import can_be_built, fits_this_host
from pyxl.ops.settle import hold

if TYPE_CHECKING:
    from pyxl.checkpoint.converted import ConvertedStream

STDIN = 0


class Restored(NamedTuple):
    """A domain that is back: ``size`` of the file in bytes (0 for a pipe), ``seconds`` that it took."""

    domid: int
    name: str
    size: int
    seconds: float


class Checkpoint(NamedTuple):
    """A checkpoint that is open for restore: its ``stream`` stands at the first byte behind the header.

    ``is_own``: a file of root's that nobody else may write to.  ``policy`` is cpu_policy.of_stream's; None for a pipe
    too, which can be read only once, and for a legacy stream, which has none.
    """

    path: Path
    is_own: bool
    header: xl_header.XlHeader
    stream: "CheckedFile | CheckedPipe | ConvertedStream"
    policy: tuple[bool, CpuPolicy] | None


@contextmanager
def open_checkpoint(path: Path, *, skip_device_state: bool = False) -> Iterator[Checkpoint]:
    """Open a checkpoint (`-` is standard input) and check it as far as is possible before anything is built.

    Of a file that is its framing to its end, its trailer, and the sums of what holds the config; of a pipe its header.
    ``skip_device_state`` is for a legacy one alone: its devices boot afresh.

    :raise PyxlError: there is no such file, or it is no checkpoint, or not a whole one.
    """
    with ExitStack() as opened:
        with Undo(f"restore {path}") as undo:
            undo.enter(Phase.OPEN)
            fd = os.dup(STDIN) if str(path) == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, fd)
            undo.enter(Phase.CHECK_FILE)
            status = os.fstat(fd)
            others = stat.S_IWGRP | stat.S_IWOTH
            is_own = stat.S_ISREG(status.st_mode) and not status.st_uid and not status.st_mode & others
            source = Source(fd)
            header = xl_header.parse(source.take)
            policy = None
            if not header.is_v2:
                header, stream = _converted(source, header, skip_device_state)
            elif skip_device_state:
                raise UsageError("only a legacy checkpoint's device state can be skipped, and this is none")
            else:
                stream = checked(source, header)
                if source.seekable:
                    source.offset = header.size
                    policy = cpu_policy.of_stream(source.take, header.size)
            opened.callback(stream.close)
        yield Checkpoint(path, is_own, header, stream, policy)


def _converted(
    source: Source, header: xl_header.XlHeader, skip_device_state: bool
) -> "tuple[xl_header.XlHeader, CheckedFile | CheckedPipe | ConvertedStream]":
    """Return the header and stream of a legacy checkpoint; few are, and what they take is imported for them alone."""
    from pyxl.checkpoint import legacy
    from pyxl.checkpoint.converted import ConvertedStream

    header = legacy.admit(source, header, skip_device_state)
    return header, ConvertedStream(source, header.size, programs.find(programs.CONVERT_LEGACY), skip_device_state)


def restore(
    xen: Hypervisor, store: Store, open_dm: OpenDm, checkpoint: Checkpoint, config: GuestConfig, report: Report,
    *, paused: bool = False, start_monitor: Callable[[int], None] | None = None,
) -> Restored:  # fmt: skip
    """Build a domain from a checkpoint and let it go on, once all that was read is known to be what was saved.

    ``start_monitor`` is called with the domid before the guest runs.

    :raise OperationError: it failed, and nothing of the domain is left, or the message says what is.
    """
    started = time.monotonic()
    stream = checkpoint.stream
    with Undo(f'restore {checkpoint.path} "{config.name}"') as undo:
        if not config.uuid:
            config.new_uuid()
        undo.keep(hold(xen, store, open_dm, "restore", config.uuid, config.name, report.remark))
        undo.note(after=(After.PAUSE if paused else After.RESUME).name)
        can_be_built(xen, store, config)
        fits_this_host(xen, checkpoint.policy)
        undo.enter(Phase.BUILD, target=str(checkpoint.path))
        report.step("restoring memory")
        helper = programs.find(programs.SAVE_HELPER)
        stream.start()
        config_json = config.to_json()
        building = Building(xen, undo, config.uuid, lambda: xen.restore(config_json, stream.fd, helper), stream.cut)
        try:
            domid = building.result(lambda: report.progress(stream.passed(), stream.size), report.interval)
        except XenError:
            stream.check()  # libxl only knows that its file ended
            raise
        report.progress(stream.size, stream.size)
        undo.enter(Phase.CHECKSUMS, domid=domid)
        stream.result()
        if stream.trailer is None:
            report.remark("the checkpoint has no checksums (xl wrote it): what it holds of memory was taken on trust")
        start(xen, undo, domid, paused, start_monitor)
    return Restored(domid, config.name, stream.size, time.monotonic() - started)
