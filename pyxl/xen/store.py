"""xenstore through pyxs: read, write, watch, and a deadline on every request.

pyxs waits for ever when xenstored goes away; here a silent daemon is a StoreTimeout.
"""

import errno
import os
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pyxs
from pyxs._internal import NUL, Op, Packet, next_rq_id
from pyxs.connection import UnixSocketConnection

from pyxl.errors import StoreError, StoreTimeout
from pyxl.model import paths

T = TypeVar("T")
#: Seconds that xenstored may take over one request.  It answers within milliseconds, or not at all.
DEADLINE = 10.0
#: XS_DIRECTORY_PART (xen/include/public/io/xs_wire.h); pyxs does not know it.
_DIRECTORY_PART = 22


class _Packet(Packet):  # type: ignore[misc]
    """A packet of any operation; pyxs refuses those that it does not know."""

    def __new__(cls, op: int, payload: bytes, rq_id: int, tx_id: int | None = None) -> "_Packet":
        return tuple.__new__(cls, (op, rq_id, tx_id or 0, len(payload), payload))


class _Connection(UnixSocketConnection):  # type: ignore[misc]
    """Sends each packet in one call; pyxs makes two, and a signal may fall between them.

    Half a packet garbles all that follow it, and xenstored of Xen 4.17 dies of that.
    """

    def send(self, packet: Packet) -> None:
        if not self.is_connected:
            raise pyxs.ConnectionError("not connected")
        header = Packet._struct.pack(packet.op, packet.rq_id, packet.tx_id, packet.size)
        try:
            self.transport.send(header + packet.payload)
        except OSError as error:
            raise pyxs.ConnectionError(f"error while writing to {self.path}: {error}") from error

    def recv(self) -> Packet:
        if not self.is_connected:
            raise pyxs.ConnectionError("not connected")
        try:
            op, rq_id, tx_id, size = Packet._struct.unpack(self.transport.recv(Packet._struct.size))
            return _Packet(op, self.transport.recv(size) if size else b"", rq_id, tx_id)
        except OSError as error:
            raise pyxs.ConnectionError(f"error while reading from {self.path}: {error}") from error


class _Monitor(pyxs.Monitor):  # type: ignore[misc]
    """A pyxs monitor that can watch "@releaseDomain" without a working directory: pyxs would look where that lies."""

    def watch(self, wpath: bytes, token: bytes) -> None:
        self.client.router.subscribe(token, self)
        self.client.ack(Op.WATCH, wpath + NUL, token + NUL)
        self.unwatch_queue.add((wpath, token))

    def unwatch(self, wpath: bytes, token: bytes) -> None:
        self.client.ack(Op.UNWATCH, wpath + NUL, token + NUL)
        self.client.router.unsubscribe(token, self)
        self.unwatch_queue.discard((wpath, token))


class _Client(pyxs.Client):  # type: ignore[misc]
    """A pyxs client whose requests end at a deadline; ``lost`` says that one did: the client is then of no more use."""

    lost = False

    def __init__(self, router: pyxs.Router | None = None, seconds: float = DEADLINE) -> None:
        super().__init__(router=router or pyxs.Router(_Connection()))
        self._seconds = seconds

    def execute_command(self, op: int, *args: bytes, **kwargs: int) -> bytes:
        return self._answer(op, *args, **kwargs).rstrip(NUL)

    def children(self, path: bytes) -> list[bytes]:
        """Return the names below ``path``, which may be more than fit into one answer."""
        try:
            return list(self.list(path))
        except pyxs.PyXSError as error:
            if not error.args or error.args[0] != errno.E2BIG:
                raise
        while True:
            names = self._in_parts(path)
            if names is not None:
                return names

    def _in_parts(self, path: bytes) -> list[bytes] | None:
        """Return the names below ``path``, read in parts; None when they changed meanwhile.

        Each part is the directory's generation and names from an offset on; an empty name follows the last one.
        """
        first, names = b"", b""
        while names != NUL and not names.endswith(NUL + NUL):
            generation, _, part = self._answer(_DIRECTORY_PART, path + NUL, b"%d" % len(names) + NUL).partition(NUL)
            if names and generation != first:
                return None
            first = generation
            names += part
        return [name for name in names.split(NUL) if name]

    def _answer(self, op: int, *args: bytes, **kwargs: int) -> bytes:
        path = args[0].rstrip(NUL).decode(errors="replace") if args else ""
        packet = _Packet(op, b"".join(args), rq_id=next_rq_id(), tx_id=self.tx_id, **kwargs)
        pending = self.router.send(packet)
        with pending.condition:
            if not pending.condition.wait_for(lambda: pending.target is not None, self._seconds):
                self.lost = True
                raise StoreTimeout(path, errno.ETIMEDOUT, f"xenstored did not answer within {self._seconds:.0f} s")
        answer = pending.target
        if answer.op == Op.ERROR:
            code = getattr(errno, answer.payload.rstrip(NUL).decode(), errno.EIO)
            raise pyxs.PyXSError(code, os.strerror(code))
        return bytes(answer.payload)


class Watch:
    """A watch on some paths; after ``wait`` something may have changed, and the caller reads again."""

    def __init__(self, monitor: _Monitor) -> None:
        self._events = monitor.events

    def wait(self, seconds: float | None) -> bool:
        """Wait for a path to change, at most ``seconds`` (None: for ever); False when the time ran out."""
        try:
            self._events.get(timeout=seconds)
        except queue.Empty:
            return False
        while not self._events.empty():
            self._events.get_nowait()
        return True


class Store:
    """A connection to xenstored, which may take ``seconds`` over each request.

    :raise StoreError: xenstored does not run, or may not be reached.
    """

    def __init__(self, seconds: float = DEADLINE) -> None:
        self._seconds = seconds
        self._connection = _connected(seconds)
        self._tokens = 0

    @property
    def _client(self) -> _Client:
        """The connection; a new one after xenstored has not answered, since it may have been restarted."""
        if self._connection.lost:
            self._connection = _connected(self._seconds)
        return self._connection

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def read(self, path: str) -> str | None:
        """Return the value at ``path``, None when there is no such node."""
        try:
            with _named(path):
                # Past pyxs' own read(): it asks for the working directory, which may be gone.
                return bytes(self._client.execute_command(Op.READ, path.encode() + NUL)).decode(errors="replace")
        except StoreError as error:
            if error.errnum == errno.ENOENT:
                return None
            raise

    def write(self, path: str, value: str) -> None:
        """Write ``value``, which may be empty, to ``path``."""
        with _named(path):
            # Past pyxs' own write(): its releases differ in whether they let an empty value through.
            self._client.execute_command(Op.WRITE, path.encode() + NUL, value.encode())

    def remove(self, path: str) -> None:
        """Remove ``path`` and all below it; a node that is not there is no error."""
        try:
            with _named(path):
                self._client.delete(path.encode())
        except StoreError as error:
            if error.errnum != errno.ENOENT:
                raise

    def children(self, path: str) -> list[str]:
        """Return the names directly below ``path``, none when it does not exist."""
        try:
            with _named(path):
                return [bytes(name).decode() for name in self._client.children(path.encode())]
        except StoreError as error:
            if error.errnum == errno.ENOENT:
                return []
            raise

    def together(self, body: Callable[[], T]) -> T:
        """Run ``body`` as one transaction and return its result; run it again if somebody else wrote there meanwhile.

        An exception in ``body`` undoes what it wrote.
        """
        while True:
            with _named("transaction"):
                self._client.transaction()
            try:
                result = body()
                with _named("transaction"):
                    if self._client.commit():
                        return result
            except BaseException:
                if self._client.tx_id:
                    self._client.rollback()
                raise
            finally:
                self._client.tx_id = 0

    def write_if(self, path: str, expected: str, value: str) -> bool:
        """Write ``value`` to ``path`` if it still holds ``expected``, in one transaction; tell whether it did."""

        def replace() -> bool:
            if (self.read(path) or "") != expected:
                return False
            self.write(path, value)
            return True

        return self.together(replace)

    def resumed(self, domid: int) -> None:
        """Tell xenstored that a domain which was suspended runs again, so that it announces the next shutdown."""
        with _named(paths.domain(domid)):
            self._client.resume_domain(domid)

    def introduced(self, domid: int) -> bool:
        """Tell whether xenstored still knows the domain."""
        with _named(paths.domain(domid)):
            return bool(self._client.is_domain_introduced(domid))

    @contextmanager
    def watch(self, *paths: str) -> Iterator[Watch]:
        """Watch ``paths`` for the length of a with block; the first wait returns at once, as xenstore's watches do."""
        with _named(paths[0]), _Monitor(self._client) as monitor:
            for path in paths:
                self._tokens += 1
                monitor.watch(path.encode(), f"pyxl-{self._tokens}".encode())
            yield Watch(monitor)


def _connected(seconds: float) -> _Client:
    client = _Client(seconds=seconds)
    try:
        client.connect()
    except pyxs.PyXSError as error:
        raise StoreError("socket", detail=f"{error}: is xenstored running?") from error
    return client


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Turn pyxs' errors into StoreError with the path."""
    try:
        yield
    except pyxs.PyXSError as error:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        raise StoreError(path, number, "" if number else str(error)) from error

