"""What a monitor waits for: a domain of this host shuts down or goes away, or an operation on a guest begins.

xenstored tells the first (a watch on @releaseDomain), the kernel the second (dnotify: a file is made where the journals
are).  Neither says which guest it is: whoever waited looks.  inotify would do as well, but root's processes have 128 of
them together.
"""

import _signal  # type: ignore[import-not-found]  # signal itself imports enum
import _socket
import fcntl
import os
import select
import sys

from pyxl.model import paths

#: Seconds after which ``wait`` ends by itself where an event cannot be had.
LOOK_SECONDS = 5.0
_WATCH = 4  # XS_WATCH (xen/include/public/io/xs_wire.h)
_BYTES = 4096


class Events:
    """``arm`` first, then look, then ``wait``: so nothing is missed that happens between the look and the wait."""

    def __init__(self) -> None:
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        _signal.signal(_signal.SIGIO, lambda *_: None)  # dnotify's
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._store: _socket.socket | None = None
        self._journals = -1
        self._blind = False

    def arm(self) -> None:
        """Have ``wait`` end at the next event."""
        self._blind = False
        try:
            self._store = self._store or _watching()
        except OSError:  # xenstored is away: it is asked again at the next look
            self._blind = True
        if self._journals >= 0:
            os.close(self._journals)
            self._journals = -1
        try:
            # Opened anew each time: the directory may be another by now.
            self._journals = os.open(paths.JOURNAL_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.fcntl(self._journals, fcntl.F_NOTIFY, fcntl.DN_CREATE)
        except OSError:
            self._blind = True

    def wait(self, seconds: float | None) -> None:
        """Wait for an event, at most ``seconds``; None is for ever."""
        if self._blind:
            seconds = min(LOOK_SECONDS, seconds or LOOK_SECONDS)
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._store is not None:
            poll.register(self._store.fileno(), select.POLLIN)
        poll.poll(None if seconds is None else 1000 * seconds)
        try:
            os.read(self._woken, _BYTES)
        except BlockingIOError:
            pass
        # What xenstored says need not be read: an answer or an event, the caller looks.
        if self._store is not None and not _drained(self._store):
            self._store.close()
            self._store = None


def _watching() -> _socket.socket:
    """Return a connection to xenstored that gets bytes when a domain shuts down or goes away, and once right away."""
    store = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    store.connect(os.environ.get("XENSTORED_PATH") or paths.XENSTORED)  # as pyxs does
    body = f"{paths.RELEASE_DOMAIN}\0pyxl\0".encode()
    store.sendall(b"".join(number.to_bytes(4, sys.byteorder) for number in (_WATCH, 0, 0, len(body))) + body)
    return store


def _drained(store: _socket.socket) -> bool:
    """Take what has come; return False if the connection has ended."""
    try:
        return bool(store.recv(_BYTES, _socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False
