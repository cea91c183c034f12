"""The memory engine in the place of libxc's xc_domain_save and xc_domain_restore.

A toolstack asks for it in the environment: "direct", and words for what it is to do.  Imported only then.
"""

import ctypes
import os

from pyxl.errors import PyxlError, XenError
from pyxl.formats.helper_messages import NUMBER
from pyxl.memory.restore import Restore, Ring
from pyxl.memory.save import save as save_memory
from pyxl.memory.sinks import PlainSink
from pyxl.memory.sources import PlainSource
from pyxl.xen import hvm, lib
from pyxl.xen.foreign import ForeignMemory
from pyxl_save_helper.callbacks import Toolstack

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Callable

_ERROR = 8  # log level
_MOST_THREADS = 4


def save(handle: int, toolstack: Toolstack, io_fd: int, domid: int, words: list[str]) -> int:
    """Stream ``domid`` to ``io_fd`` and return 0, or -1 with the reason in errno and in the toolstack's log.

    ``words``: "sparse" leaves holes for zero pages.
    """
    if toolstack.send("suspend") != 1:
        ctypes.set_errno(0)
        return -1
    sink = PlainSink(io_fd, "sparse" in words)
    domain, memory = hvm.HvmDomain(handle, domid), ForeignMemory(domid)
    return _reported(toolstack, lambda: save_memory(domain, memory, sink, lib.xen_version(), _threads()))


def restore(
    handle: int, toolstack: Toolstack, cb_flags: int, io_fd: int, domid: int,
    store: tuple[int, int], console: tuple[int, int],
) -> tuple[int, int, int]:  # fmt: skip
    """Fill ``domid`` from ``io_fd`` and return 0, or -1 as ``save`` does, and the gfns of store and console ring.

    ``store`` and ``console`` are (event channel port, domid of the daemon).
    """
    announced = cb_flags & 1 << NUMBER["static_data_done"]
    rings = Ring(*store), Ring(*console)
    domain, memory = hvm.HvmDomain(handle, domid), ForeignMemory(domid)

    def static_data_done(missing: int) -> int:
        return toolstack.send("static_data_done", missing) if announced else 0

    restoring = Restore(domain, memory, PlainSource(io_fd), *rings, static_data_done)
    result = _reported(toolstack, lambda: restoring.run(_threads()))
    return result, rings[0].gfn, rings[1].gfn


def _threads() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def _reported(toolstack: Toolstack, work: "Callable[[], None]") -> int:
    """Do the work and return 0, or -1 as libxc's calls do."""
    try:
        work()
    except (PyxlError, OSError) as error:
        number = error.errnum if isinstance(error, XenError) else getattr(error, "errno", 0)
        toolstack.send("log", _ERROR, number, "direct", str(error))
        ctypes.set_errno(number)
        return -1
    return 0
