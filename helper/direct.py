"""The memory engine in the place of libxc's xc_domain_save and xc_domain_restore.

A toolstack asks for it in the environment: "direct", and words for what it is to do (helper/README.md).  Imported only
then.
"""

import ctypes
import os

from pyxl.errors import PyxlError, XenError
from pyxl.formats.helper_messages import NUMBER
from pyxl.memory.restore import Restore, Ring
from pyxl.memory.save import NotSuspended
from pyxl.memory.save import save as save_memory
from pyxl.memory.sinks import PlainSink
from pyxl.memory.sources import PlainSource
from pyxl.xen import hvm, lib
from pyxl.xen.foreign import ForeignMemory
from pyxl_save_helper.callbacks import Toolstack
from pyxl_save_helper.words import facts

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxl.memory.sinks import Sink

#: The word that names the descriptor with the state of a sink of packs.
STATE = "state"
_ERROR = 8  # log level
_MOST_THREADS = 4


def save(handle: int, toolstack: Toolstack, io_fd: int, table: int, domid: int, words: list[str]) -> int:
    """Stream ``domid`` to ``io_fd`` and return 0, or -1 with the reason in errno and in the toolstack's log.

    ``table`` gets an entry for each frame, where frames are asked for.
    """
    version = lib.xen_version()
    named = facts(words)
    domain, memory = hvm.HvmDomain(handle, domid), ForeignMemory(domid)

    def sink() -> "Sink":
        if "level" not in named:
            return PlainSink(io_fd, "sparse" in words)
        if STATE in named:
            from pyxl.memory.packs_out import PackSink

            return PackSink(io_fd, table, int(named["level"]) or None, int(named[STATE]))
        from pyxl.memory.frames_out import FramesSink

        return FramesSink(io_fd, table, int(named["level"]) or None)

    def work() -> None:
        target = sink()
        stream(target)
        target.end()

    def stream(target: "Sink") -> None:
        if "live" not in words:
            if toolstack.send("suspend") != 1:
                raise NotSuspended
            save_memory(domain, memory, target, version, _threads(named))
            return
        from pyxl.memory.live import save_live
        from pyxl.xen.dirty import DirtyLog
        from pyxl_save_helper import live

        log = DirtyLog(handle, domid, domain.last_gfn() + 1)
        policy, goes_on = live.policy(words), live.GOES_ON in words
        with live.Guest(toolstack, domid) as guest:
            save_live(domain, memory, log, target, version, _threads(named), policy, guest, goes_on=goes_on)

    return _reported(toolstack, work)


def restore(
    handle: int, toolstack: Toolstack, cb_flags: int, io_fd: int, domid: int,
    store: tuple[int, int], console: tuple[int, int], words: list[str],
) -> tuple[int, int, int]:  # fmt: skip
    """Fill ``domid`` from ``io_fd`` and return 0, or -1 as ``save`` does, and the gfns of store and console ring.

    ``store`` and ``console`` are (event channel port, domid of the daemon).
    """
    announced = cb_flags & 1 << NUMBER["static_data_done"]
    named = facts(words)
    rings = Ring(*store), Ring(*console)
    domain, memory = hvm.HvmDomain(handle, domid), ForeignMemory(domid)

    def static_data_done(missing: int) -> int:
        return toolstack.send("static_data_done", missing) if announced else 0

    def work() -> None:
        source = PlainSource(io_fd)
        if "frames" in named:
            from pyxl.memory.frames_in import FramesSource

            source = FramesSource(io_fd, int(named["frames"]))
        elif "plan" in named:
            from pyxl.memory.packs_in import PacksSource

            plan, *packs = (int(fd) for fd in named["plan"].split(","))
            source = PacksSource(io_fd, plan, packs)
        Restore(domain, memory, source, *rings, static_data_done).run(_threads(named))

    result = _reported(toolstack, work)
    return result, rings[0].gfn, rings[1].gfn


def _threads(named: dict[str, str]) -> int:
    return int(named.get("threads", 0)) or min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def _reported(toolstack: Toolstack, work: "Callable[[], None]") -> int:
    """Do the work and return 0, or -1 as libxc's calls do."""
    try:
        work()
    except OSError as error:  # of the stream: the number says it all
        ctypes.set_errno(error.errno or 0)
        return -1
    except NotSuspended:  # the toolstack knows why
        ctypes.set_errno(0)
        return -1
    except PyxlError as error:
        number = error.errnum if isinstance(error, XenError) else 0
        toolstack.send("log", _ERROR, number, "direct", str(error))
        ctypes.set_errno(number)
        return -1
    return 0
