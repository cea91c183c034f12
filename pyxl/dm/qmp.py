"""Upstream qemu as a device model, over QMP (xen-spec.md 8.2).

qemu serves one QMP client at a time: each session takes libxl's lock, does its commands and leaves.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.dm.driver import ANSWER_DEADLINE, DEADLINE, READY_DEADLINE, Driver
from pyxl.dm.qmp_session import Session
from pyxl.errors import DeviceModelTimeout
from pyxl.model import paths

#: Seconds to wait for the socket's lock: it is held for single commands, not for a whole save.
LOCK_DEADLINE = 10.0
# Reported by image formats that two qemus cannot have open at once, as in a live migration; a save has only one.
_LIVE_ONLY = "does not support live migration"


class QmpDeviceModel(Driver):
    """The DeviceModel of pyxl.model.ports for a domain whose qemu listens on QMP."""

    def blockers(self) -> list[str]:
        """Return qemu's reasons against saving its state; xen-save-devices-state would not check."""
        with self._session("query-migrate", READY_DEADLINE, READY_DEADLINE) as session:
            if session.execute("query-status").get("status") == "inmigrate":
                return ["it is still loading the state that it was started with"]
            reasons = session.execute("query-migrate").get("blocked-reasons", [])
        return [str(reason) for reason in reasons if _LIVE_ONLY not in str(reason)]

    def stop_and_save(self) -> bytes:
        """Stop qemu and return its device state; the state never has a name in any directory."""
        keep = os.memfd_create("qemu-state")
        try:
            # qemu wants a descriptor in the mode that it would open: write only.
            give = os.open(f"/proc/self/fd/{keep}", os.O_WRONLY)
            try:
                with self._session("xen-save-devices-state") as session:
                    session.save_devices(give, DEADLINE)
            finally:
                os.close(give)
            return self._checked(os.pread(keep, os.fstat(keep).st_size, 0))
        finally:
            os.close(keep)

    def resume(self) -> None:
        with self._session("cont") as session:
            session.execute("cont")

    def log_dirty(self, on: bool) -> None:
        with self._session("xen-set-global-dirty-log") as session:
            session.log_dirty(on)

    @contextmanager
    def _session(
        self, purpose: str, deadline: float | None = None, patience: float | None = None
    ) -> Iterator[Session]:
        """Hold libxl's lock and a QMP session for the length of a with block."""
        try:
            with _locked(Path(paths.qmp_lock(self._domid, self._domain.uuid)), patience or LOCK_DEADLINE):
                session = Session(socket.socket(socket.AF_UNIX), self._domid, deadline or ANSWER_DEADLINE)
                try:
                    session.connect(paths.qmp_socket(self._domid))
                    self.version = session.version
                    yield session
                finally:
                    session.close()
        except TimeoutError as error:
            raise DeviceModelTimeout(self._domid, purpose, f"{error}{self._last_words()}") from error
        except OSError as error:
            raise self._error(purpose, f"{error}{self._last_words()}") from error


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Hold a lock file of libxl's as libxl does: locked, still the one at ``path``, and removed before it is released.

    :raise TimeoutError: somebody else holds it for longer than ``patience``, in seconds.
    """
    end = time.monotonic() + patience
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:  # a holder that is done removes the name: then this file locks nothing
                break
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(fd)
                raise TimeoutError(f"{path} is held by another process") from None
            time.sleep(0.05)
        os.close(fd)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)
