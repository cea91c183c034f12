"""The libxc stream of an HVM or PVH domain, out of its memory and state (xen-spec.md 3.4).

What it writes is what libxc writes, but for absent frames, of which libxc has a word each.  Imports next to nothing:
the save-helper starts through here.
"""

import struct

from pyxl.errors import PyxlError
from pyxl.formats.stream import libxc_v2
from pyxl.memory.batches import WORD, batches
from pyxl.memory.ordered import in_order
from pyxl.xen.foreign import PAGE_SIZE, READ

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from pyxl.memory.batches import Batch
    from pyxl.memory.sinks import Sink
    from pyxl.xen.foreign import ForeignMemory
    from pyxl.xen.hvm import HvmDomain

RECORD = struct.Struct("<II")
HEAD = struct.Struct("<IIII")  # type, length; count, reserved
TSC = struct.Struct("<IIQII")
PARAMS = struct.Struct("<II")
PARAM = struct.Struct("<QQ")


class NotSuspended(PyxlError):
    """The domain could not be suspended; who was asked for it knows why."""

    def __init__(self) -> None:
        super().__init__("the domain was not suspended")


def save(domain: "HvmDomain", memory: "ForeignMemory", sink: "Sink", version: tuple[int, int], threads: int) -> None:
    """Write the stream of a suspended domain to ``sink``; ``version`` is Xen's.

    :raise XenError: Xen refuses, or a page cannot be mapped.
    :raise OSError: the target takes no more.
    """
    sink.write(start(domain, version))
    in_order(batches(domain), [Worker(memory, sink) for _ in range(threads)])
    sink.write(end(domain))


class Worker:
    """What one thread has of a batch: its pages, mapped, and what the sink has made of them.

    ``memory`` is None where each batch brings copies; ``pages`` counts those of all batches.
    """

    def __init__(self, memory: "ForeignMemory | None", sink: "Sink") -> None:
        self._memory = memory
        self.pages = 0
        self._pages = sink.pages()
        self._mapped = (0, 0)

    def make(self, batch: "Batch") -> None:
        length = PARAMS.size + len(batch.words) + batch.pages * PAGE_SIZE
        head = HEAD.pack(libxc_v2.PAGE_DATA, length, len(batch.words) // WORD, 0) + batch.words
        if self._memory and batch.pages and not batch.copy:
            self._mapped = (self._memory.map(batch.gfns, READ), batch.pages)
        self._pages.make(head, batch.copy or self._mapped[0], batch.pages)
        self.pages += batch.pages

    def put(self) -> None:
        self._pages.put()

    def drop(self) -> None:
        address, count = self._mapped
        if self._memory and count:
            self._mapped = (0, 0)
            self._memory.unmap(address, count)


def start(domain: "HvmDomain", version: tuple[int, int]) -> bytes:
    """Return what stands before the first page."""
    leaves, msrs = domain.policy()
    return b"".join((
        libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, libxc_v2.VERSIONS[-1], 0, 0, 0),
        libxc_v2.DOMAIN.pack(libxc_v2.TYPE_HVM, libxc_v2.PAGE_SHIFT, 0, *version),
        _record(libxc_v2.X86_CPUID_POLICY, leaves) if leaves else b"",
        _record(libxc_v2.X86_MSR_POLICY, msrs) if msrs else b"",
        _record(libxc_v2.STATIC_DATA_END),
    ))  # fmt: skip


def end(domain: "HvmDomain") -> bytes:
    """Return what stands behind the last page; the domain must not run."""
    mode, khz, nsec, incarnation = domain.tsc()
    params = domain.params()
    body = PARAMS.pack(len(params), 0) + b"".join(PARAM.pack(*param) for param in params)
    return b"".join((
        _record(libxc_v2.X86_TSC_INFO, TSC.pack(mode, khz, nsec, incarnation, 0)),
        _record(libxc_v2.HVM_CONTEXT, domain.context()),
        _record(libxc_v2.HVM_PARAMS, body) if params else b"",
        _record(libxc_v2.END),
    ))  # fmt: skip


def _record(kind: int, body: bytes = b"") -> bytes:
    return RECORD.pack(kind, len(body)) + body + bytes(-len(body) % 8)
