"""Threads that work on pieces side by side, and hand on what they have made in the order of the pieces.

Imports next to nothing: the save-helper starts through here.
"""

import _thread

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol, TypeVar

    Piece = TypeVar("Piece", contravariant=True)

    class Worker(Protocol[Piece]):
        """What one thread works with."""

        def make(self, piece: Piece) -> None:
            """Make something of a piece, beside other threads."""

        def put(self) -> None:
            """Hand on what was made, once all that was made of earlier pieces is."""

        def drop(self) -> None:
            """Let go of it, whatever happened."""


#: Bytes of a thread's stack: the default of 8 MiB each counts against the helper's address space.
_STACK = 512 << 10


def in_order(pieces: "Iterator[Piece]", workers: "Sequence[Worker[Piece]]") -> None:
    """Have each worker, in a thread of its own, take the next piece, make something of it and put it in its turn.

    At most one piece for each worker is in memory.  The first error ends all, and is raised.
    """
    taking, last = _thread.allocate_lock(), [_thread.allocate_lock()]
    errors: list[BaseException] = []

    def take() -> "tuple[Piece, _thread.LockType, _thread.LockType] | None":
        with taking:
            for piece in pieces:
                before, done = last[0], _thread.allocate_lock()
                done.acquire()
                last[0] = done
                return piece, before, done
        return None

    def work(worker: "Worker[Piece]", ended: _thread.LockType) -> None:
        try:
            while not errors and (taken := take()):
                piece, before, done = taken
                try:
                    worker.make(piece)
                    before.acquire()
                    if not errors:
                        worker.put()
                finally:
                    worker.drop()
                    done.release()
        except BaseException as error:
            errors.append(error)
        finally:
            ended.release()

    ends = [_thread.allocate_lock() for _ in workers]
    _thread.stack_size(_STACK)
    for worker, ended in zip(workers, ends, strict=True):
        ended.acquire()
        _thread.start_new_thread(work, (worker, ended))
    for ended in ends:
        ended.acquire()
    if errors:
        raise errors[0]
