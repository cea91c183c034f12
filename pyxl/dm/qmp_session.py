"""One QMP connection: greeting, capabilities, then one command at a time (xen-spec.md 8.2).

Knows a connected socket and QMP; does not know which qemu it is, nor who else wants to connect.
"""

import json
import socket
from array import array
from typing import Any

from pyxl.errors import DeviceModelError

#: The most that a qemu, which may be untrusted, can make its reader hold in memory.
MAX_LINE = 1 << 20


class Session:
    """A QMP session over ``channel``, a Unix socket that it owns; OSError when the connection breaks.

    ``deadline`` is for each answer, in seconds, None for no end; a late answer is not taken for the next command's.
    """

    def __init__(self, channel: socket.socket, domid: int, deadline: float | None) -> None:
        self._domid = domid
        self._socket = channel
        self._socket.settimeout(deadline)
        self._pending = b""
        self._last_id = 0
        self.version = ""

    def connect(self, path: str) -> None:
        """Connect to qemu's socket and open the session."""
        self._socket.connect(path)
        self.open()

    def open(self) -> None:
        """Wait for qemu's greeting, note its version, and answer."""
        while (greeting := self._message().get("QMP")) is None:
            pass
        number = greeting.get("version", {}).get("qemu", {})
        self.version = ".".join(str(number[part]) for part in ("major", "minor", "micro") if part in number)
        self.execute("qmp_capabilities")

    def close(self) -> None:
        self._socket.close()

    def deadline(self, seconds: float) -> None:
        """Set the deadline of each answer to come."""
        self._socket.settimeout(seconds)

    def pass_events(self) -> None:
        """Read qemu's events and drop them.

        :raise ConnectionError: qemu has gone.
        """
        got = self._socket.recv(65536)
        if not got:
            raise ConnectionResetError("qemu closed its QMP socket")
        self._pending = (self._pending + got).rpartition(b"\n")[2]

    def execute(self, command: str, arguments: dict[str, Any] | None = None, send_fd: int | None = None) -> Any:
        """Run one command and return its result; ``send_fd`` travels with the command's first byte.

        :raise DeviceModelError: qemu refuses.
        """
        self._last_id += 1
        message: dict[str, Any] = {"execute": command, "id": self._last_id}
        if arguments is not None:
            message["arguments"] = arguments
        line = json.dumps(message).encode() + b"\r\n"
        if send_fd is not None:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [send_fd]))
            self._socket.sendmsg([line[:1]], [rights])
            line = line[1:]
        self._socket.sendall(line)
        while (answer := self._message()).get("id") != self._last_id:
            pass  # an event, or an answer that came too late
        if "error" in answer:
            raise DeviceModelError(self._domid, command, str(answer["error"].get("desc", answer["error"])))
        if "return" not in answer:
            raise ConnectionError(f"qemu's answer to {command} is none: {answer}")
        return answer["return"]

    def save_devices(self, state_fd: int, seconds: float) -> None:
        """Stop qemu and have it write its device state to ``state_fd``, a descriptor that is open for writing only.

        The writing may take ``seconds``.  No path is named, so that a confined qemu can do it too.
        """
        self.execute("stop")
        fdset = self.execute("add-fd", send_fd=state_fd)["fdset-id"]
        usual = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            # Not live: no other qemu takes over this one's disk images before it has ended.
            self.execute("xen-save-devices-state", {"filename": f"/dev/fdset/{fdset}", "live": False})
        except DeviceModelError:  # not on a timeout: a qemu that does not answer is asked nothing more
            self.execute("remove-fd", {"fdset-id": fdset})
            raise
        self._socket.settimeout(usual)
        self.execute("remove-fd", {"fdset-id": fdset})

    def log_dirty(self, on: bool) -> None:
        """Have qemu track the pages that it writes, or stop tracking, whatever it did before.

        Since 7.1 qemu aborts when told to stop tracking that it has not begun; to begin twice is harmless.
        """
        self.execute("xen-set-global-dirty-log", {"enable": True})
        if not on:
            self.execute("xen-set-global-dirty-log", {"enable": False})

    def _message(self) -> dict[str, Any]:
        while b"\n" not in self._pending:
            got = self._socket.recv(65536)
            if not got:
                raise ConnectionResetError("qemu closed its QMP socket")
            self._pending += got
            if len(self._pending) > MAX_LINE:
                raise ConnectionError("qemu sent a line without an end")
        line, self._pending = self._pending.split(b"\n", 1)
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConnectionError(f"qemu sent no JSON object: {line[:60]!r}") from error
