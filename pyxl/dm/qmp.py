"""Upstream qemu as a device model, over QMP (xen-spec.md 8.2).

qemu serves one QMP client at a time: each session takes libxl's lock, does its commands and leaves.
"""

import fcntl
import json
import os
import socket
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyxl.errors import DeviceModelError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Store

EMULATOR_QEMU_UPSTREAM = 2
#: Seconds for one command, as libxl allows a device model to start or resume.
DEADLINE = 60.0
LOG_DIRTY_DEADLINE = 10.0
#: Seconds to wait for the socket's lock: whoever holds it has QMP deadlines of its own.
LOCK_DEADLINE = 60.0
_LOG_LINES = 3


class QmpDeviceModel:
    """The DeviceModel of pyxl.model.ports for a domain whose qemu listens on QMP."""

    emulator_id = EMULATOR_QEMU_UPSTREAM

    def __init__(self, domain: DomainInfo, store: Store, dm_domid: int = 0) -> None:
        self._domid = domain.domid
        self._uuid = domain.uuid
        self._store = store
        self._dm_domid = dm_domid

    def stop_and_save(self) -> bytes:
        """Stop qemu and return its device state; the state never has a name in any directory."""
        with self._session("xen-save-devices-state") as session:
            session.execute("stop")
            keep = os.memfd_create("qemu-state")
            try:
                # qemu wants a descriptor in the mode that it opens with: write only.
                give = os.open(f"/proc/self/fd/{keep}", os.O_WRONLY)
                try:
                    answer = session.execute("add-fd", send_fd=give)
                finally:
                    os.close(give)
                name = f"/dev/fdset/{answer['fdset-id']}"
                session.execute("xen-save-devices-state", {"filename": name, "live": False})
                state = os.pread(keep, os.fstat(keep).st_size, 0)
            finally:
                os.close(keep)
        if not state:
            raise DeviceModelError(self._domid, "xen-save-devices-state", "qemu wrote no state")
        return state

    def xenstore_data(self) -> list[tuple[str, str]]:
        """Return the physmap keys, which qemu before 2.10 kept in xenstore and current ones do not."""
        root = paths.device_model(self._domid, self._dm_domid)
        keys = [
            f"physmap/{entry}/{field}"
            for entry in self._store.children(root + "/physmap")
            for field in ("start_addr", "size", "name")
        ]
        return [(key, value) for key in keys if (value := self._store.read(f"{root}/{key}")) is not None]

    def resume(self) -> None:
        with self._session("cont") as session:
            session.execute("cont")

    def log_dirty(self, on: bool) -> None:
        with self._session("xen-set-global-dirty-log", LOG_DIRTY_DEADLINE) as session:
            session.execute("xen-set-global-dirty-log", {"enable": on})

    @contextmanager
    def _session(self, purpose: str, deadline: float = DEADLINE) -> "Iterator[_Session]":
        """Hold libxl's lock and a QMP session for the length of a with block."""
        try:
            with _locked(Path(paths.qmp_lock(self._domid, self._uuid))):
                session = _Session(paths.qmp_socket(self._domid), self._domid, deadline)
                try:
                    yield session
                finally:
                    session.close()
        except OSError as error:
            raise DeviceModelError(self._domid, purpose, f"{error}{self._last_words()}") from error

    def _last_words(self) -> str:
        """Return the end of qemu's own log, for an error."""
        name = self._store.read(paths.name(self._domid)) or ""
        try:
            lines = Path(paths.device_model_log(name)).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "; its log ends: " + " | ".join(lines[-_LOG_LINES:]) if lines else ""


class _Session:
    """One QMP connection: greeting and capabilities done, commands one at a time; OSError when it breaks."""

    def __init__(self, path: str, domid: int, deadline: float) -> None:
        self._domid = domid
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(deadline)
        self._pending = b""
        try:
            self._socket.connect(path)
            self._receive("QMP")
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def execute(self, command: str, arguments: dict[str, Any] | None = None, send_fd: int | None = None) -> Any:
        """Run one command and return its result; ``send_fd`` travels with the command's first byte.

        :raise DeviceModelError: qemu refuses.
        """
        message: dict[str, Any] = {"execute": command, "id": 1}
        if arguments is not None:
            message["arguments"] = arguments
        line = json.dumps(message).encode() + b"\r\n"
        if send_fd is not None:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [send_fd]))
            self._socket.sendmsg([line[:1]], [rights])
            line = line[1:]
        self._socket.sendall(line)
        answer = self._receive("return", "error")
        if "error" in answer:
            raise DeviceModelError(self._domid, command, str(answer["error"].get("desc", answer["error"])))
        return answer["return"]

    def _receive(self, *wanted: str) -> dict[str, Any]:
        """Return the next message that has one of these members; events pass by."""
        while True:
            while b"\n" not in self._pending:
                got = self._socket.recv(65536)
                if not got:
                    raise ConnectionResetError("qemu closed its QMP socket")
                self._pending += got
            line, self._pending = self._pending.split(b"\n", 1)
            try:
                message = json.loads(line)
            except ValueError as error:
                raise ConnectionError(f"qemu sent no JSON: {line[:60]!r}") from error
            if any(member in message for member in wanted):
                return dict(message)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file of libxl's as libxl does: locked, still the one at ``path``, and removed before it is released.

    :raise TimeoutError: somebody else holds it for longer than LOCK_DEADLINE.
    """
    end = time.monotonic() + LOCK_DEADLINE
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:  # a holder that leaves removes the name: then this one is nobody's lock
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
