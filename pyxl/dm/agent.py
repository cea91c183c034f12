"""pyxl-qemu-dm: upstream qemu as a device model that is driven over xenstore (README.md of this folder).

libxl starts it in qemu's place.  The process that libxl started becomes qemu, so that signals, exit status and log are
qemu's own.  It first forks a child, the front, which serves xenstore and ends when qemu does.
"""

import os
import select
import socket
import sys
import threading
from pathlib import Path

from pyxl.dm.qmp_session import Session
from pyxl.errors import DeviceModelError
from pyxl.model import paths
from pyxl.model.ports import Store, Watch
from pyxl.xen.store import Store as XenStore

#: Where Xen's qemu is on Debian, Fedora and in a build from source; the first that exists is taken.
QEMUS = (
    "/usr/libexec/xen-qemu-system-i386",
    "/usr/lib/xen/bin/qemu-system-i386",
    "/usr/local/lib/xen/bin/qemu-system-i386",
    "/usr/bin/qemu-system-i386",
)
#: Seconds for one answer from qemu: less than a toolstack waits, so that it learns what is wrong.
DEADLINE = 40.0
LOG_DIRTY_DEADLINE = 8.0
_STARTED = b"+"


def main() -> None:
    """Leave a front behind and become qemu.

    Exits with status 1 if the front cannot start: libxl then destroys the domain.
    """
    argv = sys.argv[1:]
    try:
        domid = int(argv[argv.index("-xen-domid") + 1])
        qemu = next(path for path in QEMUS if os.access(path, os.X_OK))
    except (ValueError, IndexError):
        sys.exit("usage: pyxl-qemu-dm -xen-domid DOMID …\nStarted by libxl, as device_model_override says.")
    except StopIteration:
        sys.exit(f"pyxl-qemu-dm: Xen's qemu is in none of {', '.join(QEMUS)}")
    to_qemu, of_qemu = socket.socketpair()
    started, tell = os.pipe()
    if child := os.fork():
        os.close(tell)
        os.waitpid(child, 0)
        if os.read(started, 1) != _STARTED:
            sys.exit("pyxl-qemu-dm: its front did not start")
        os.execv(qemu, [qemu, *qemu_arguments(argv, of_qemu.fileno())])
    # qemu would never reap a child that it does not know, so init adopts it.
    if os.fork():
        os._exit(0)
    status = 1
    try:
        _close_all_but(to_qemu.fileno(), tell)
        with XenStore() as store:
            Front(store, to_qemu, domid, int(store.read(paths.OWN_DOMID) or 0)).run(tell)
        status = 0
    except Exception as error:  # whatever it is: the log is the only place to report it
        _say(f"{type(error).__name__}: {error}")
    finally:
        os._exit(status)


def qemu_arguments(argv: list[str], qmp_fd: int) -> list[str]:
    """Return qemu's arguments: those given, a QMP monitor on ``qmp_fd``, and qemu-dm's -loadvm FILE as -incoming."""
    os.set_inheritable(qmp_fd, True)
    arguments = list(argv)
    if "-loadvm" in arguments:
        place = arguments.index("-loadvm")
        state = os.open(arguments[place + 1], os.O_RDONLY)
        os.set_inheritable(state, True)
        arguments[place : place + 2] = ["-incoming", f"fd:{state}"]
    return [*arguments, "-chardev", f"socket,id=pyxl-dm,fd={qmp_fd}", "-mon", "chardev=pyxl-dm,mode=control"]


class Front:
    """Serves qemu-dm's xenstore protocol for the qemu at the other end of ``channel``."""

    def __init__(self, store: Store, channel: socket.socket, domid: int, dm_domid: int) -> None:
        self._store = store
        self._channel = channel
        self._session = Session(channel, domid, None)  # libxl judges how long qemu may take to start
        self._domid = domid
        self._root = paths.device_model(domid, dm_domid)
        self._control = paths.device_model_control(domid, dm_domid)
        self._file = Path(paths.device_model_save(domid))

    def run(self, tell: int) -> None:
        """Announce itself, say so to ``tell``, and serve until qemu or the domain has gone."""
        with self._store.watch(self._root, paths.RELEASE_DOMAIN) as changed:
            self._store.write(self._control, paths.CONTROL_XENSTORE)
            os.write(tell, _STARTED)
            os.close(tell)
            try:
                self.start()
                self._serve(changed)
            except ConnectionError:
                _say(f"domain {self._domid}: qemu has gone")
            finally:
                # Only while the domain exists: a write would create its path again.
                if self._store.read(self._control) is not None:
                    self._store.remove(self._control)

    def start(self) -> None:
        """Wait for qemu to come up."""
        self._session.open()

    def _serve(self, changed: Watch) -> None:
        woken, wake = os.pipe()

        def pass_on() -> None:
            while changed.wait(None):
                os.write(wake, b".")

        threading.Thread(target=pass_on, daemon=True).start()
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        poll.register(self._channel, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == woken:
                    os.read(woken, 4096)
                    if not self._store.introduced(self._domid):
                        return
                    self.look()
                else:
                    self._session.pass_events()

    def look(self) -> None:
        """Do what the keys ask for."""
        word = self._store.together(self._take)
        if word is not None:
            self._do(word)
        order, done = self._root + "/logdirty/cmd", self._root + "/logdirty/ret"
        wanted = self._store.read(order)
        if wanted in ("enable", "disable") and self._store.read(done) != wanted:
            try:
                self._session.deadline(LOG_DIRTY_DEADLINE)
                self._session.log_dirty(wanted == "enable")
                self._store.write(done, wanted)
            except (DeviceModelError, OSError) as error:
                self._fail(f"logdirty {wanted}", error)

    def _take(self) -> str | None:
        word = self._store.read(self._root + "/command")
        if word is not None:
            self._store.remove(self._root + "/command")
        return word

    def _do(self, word: str) -> None:
        self._session.deadline(DEADLINE)
        try:
            if word == "save":
                size = self._save()

                def answer() -> None:
                    self._store.write(self._root + "/size", str(size))
                    self._store.write(self._root + "/state", "paused")

                self._store.together(answer)
            elif word == "continue":
                # A save whose toolstack no longer waits may just have finished.
                self._file.unlink(missing_ok=True)
                self._session.execute("cont")
                self._store.remove(self._root + "/error")
                self._store.remove(self._root + "/size")
                self._store.write(self._root + "/state", "running")
            else:
                raise DeviceModelError(self._domid, word, "not a command that it knows")
        except (DeviceModelError, OSError) as error:
            self._fail(word, error)

    def _save(self) -> int:
        """Have qemu write its state to the file, and return how many bytes it wrote."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file.unlink(missing_ok=True)
        fd = os.open(self._file, flags, 0o600)
        try:
            self._session.save_devices(fd, DEADLINE)
            return os.fstat(fd).st_size
        except BaseException:
            self._file.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def _fail(self, word: str, error: Exception) -> None:
        """Tell the toolstack, and the log, that a command could not be done."""
        said = "qemu did not answer" if isinstance(error, TimeoutError) else str(error)
        _say(f"domain {self._domid}: {word}: {said}")
        self._store.write(self._root + "/error", said)
        if isinstance(error, ConnectionError):
            raise error


def _say(text: str) -> None:
    """Write a line to the device model's log."""
    os.write(2, f"pyxl-qemu-dm: {text}\n".encode())


def _close_all_but(*keep: int) -> None:
    """Close what was inherited for qemu, or by mistake; the log stays open."""
    first = 3
    for fd in (*sorted(keep), 1 << 16):
        os.closerange(first, fd)
        first = fd + 1
