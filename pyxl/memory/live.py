"""The libxc stream of a domain that runs: rounds of what it has written to, then the rest once it is suspended.

A later copy of a page wins.  Imports next to nothing: the save-helper starts through here.
"""

import ctypes
import time

from pyxl.checkpoint.buffers import buffer
from pyxl.errors import XenError
from pyxl.memory.batches import batches, batches_of, numbers
from pyxl.memory.ordered import in_order
from pyxl.memory.save import NotSuspended, Worker, end, start
from pyxl.xen.foreign import PAGE_SIZE, READ

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from pyxl.memory.batches import Batch
    from pyxl.memory.policy import Policy
    from pyxl.memory.sinks import Sink
    from pyxl.xen.dirty import DirtyLog
    from pyxl.xen.foreign import ForeignMemory
    from pyxl.xen.hvm import HvmDomain

    class Guest(Protocol):
        """Who looks after the domain while its memory is saved."""

        def told(self, pages: int, seconds: float, why_last: str) -> None:
            """A round has sent so many pages; ``why_last`` says why it is the last one, empty if it is not."""

        def suspend(self) -> bool:
            """Suspend the domain, and its device model; return whether they are."""

        def goes_on(self) -> None:
            """Let the domain run again: all that is to be saved of it was copied."""


#: Copied at most of a frozen guest, to be written once it runs again.
HELD_BYTES = 64 << 20
GREW = "its memory changed in size"


def save_live(
    domain: "HvmDomain", memory: "ForeignMemory", log: "DirtyLog", sink: "Sink", version: tuple[int, int],
    threads: int, policy: "Policy", guest: "Guest", *, goes_on: bool,
) -> None:  # fmt: skip
    """Write the stream of a running domain to ``sink``; ``version`` is Xen's.

    ``goes_on``: it is to run again as soon as it can.

    :raise NotSuspended: it was not suspended when it had to be.
    :raise XenError: Xen refuses, or a page of the suspended domain cannot be mapped.
    :raise OSError: the target takes no more.
    """
    has = domain.pages_in_all()
    with log:
        sink.write(start(domain, version))
        dirty, why = _rounds(domain, memory, log, sink, threads, policy, guest)
        if not guest.suspend():
            raise NotSuspended
        began = time.monotonic()
        dirty |= log.take()
        workers = [Worker(memory, sink) for _ in range(threads)]
        if domain.pages_in_all() == has:
            rest = batches_of(domain, dirty)
        else:  # a page that is new may not be among those that were written to
            rest, why = batches(domain), GREW
        held = _held(memory, rest) if goes_on else []
        in_order(rest, workers)
        tail = end(domain)
        pages = sum(worker.pages for worker in workers) + sum(batch.pages for batch in held)
        guest.told(pages, time.monotonic() - began, why)
        log.off()  # as long as nothing writes to its tables
        if goes_on:
            guest.goes_on()
        in_order(iter(held), workers)
        sink.write(tail)


def _rounds(
    domain: "HvmDomain", memory: "ForeignMemory", log: "DirtyLog", sink: "Sink", threads: int, policy: "Policy",
    guest: "Guest",
) -> tuple[int, str]:  # fmt: skip
    """Send everything, and then what was written to meanwhile, until the policy has enough.

    Return the frames that are left to send, and why there is no more round.
    """
    todo = batches(domain)
    while True:
        began = time.monotonic()
        workers = [_LiveWorker(memory, sink) for _ in range(threads)]
        in_order(todo, workers)
        seconds, sent = time.monotonic() - began, sum(worker.pages for worker in workers)
        dirty = log.take()
        for worker in workers:
            dirty |= worker.left
        why = policy.why_stop(sent, seconds, dirty.bit_count())
        guest.told(sent, seconds, "")
        if why:
            return dirty, why
        todo = batches_of(domain, dirty)


class _LiveWorker(Worker):
    """Works on a guest that may give back memory at any time: ``left`` has frames that have to be looked at again."""

    def __init__(self, memory: "ForeignMemory", sink: "Sink") -> None:
        super().__init__(memory, sink)
        self.left = 0
        self._has_made = False

    def make(self, batch: "Batch") -> None:
        self._has_made = False
        try:
            super().make(batch)
            self._has_made = True
        except XenError:
            for gfn in numbers(batch.gfns):
                self.left |= 1 << gfn

    def put(self) -> None:
        if self._has_made:
            super().put()


def _held(memory: "ForeignMemory", todo: "Iterator[Batch]") -> "list[Batch]":
    """Take batches out of ``todo``, so many as may be held, and copy their pages."""
    held: list[Batch] = []
    room = HELD_BYTES
    while room > 0 and (batch := next(todo, None)):
        if size := batch.pages * PAGE_SIZE:
            batch.hold(buffer(size))
            address = memory.map(batch.gfns, READ)
            try:
                ctypes.memmove(batch.copy, address, size)
            finally:
                memory.unmap(address, batch.pages)
        held.append(batch)
        room -= size
    return held
