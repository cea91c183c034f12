"""A fake qemu behind QMP, for answers that a real one does not give on demand."""

import json
import os
import socket
import threading
from typing import Any

#: The shortest state: magic, version, something, end mark.
STATE = b"QEVM\0\0\0\3" + b"section" + b"\0"


class Qemu(threading.Thread):
    """Serves one QMP client after another; ``answers`` replaces the answer to a command, None hangs up."""

    def __init__(self, listener: socket.socket | None = None, client: socket.socket | None = None) -> None:
        super().__init__(daemon=True)
        self.commands: list[str] = []
        self.answers: dict[str, dict[str, Any] | None] = {}
        self.state = STATE
        self._listener = listener
        self._client = client
        self._fd = -1

    def run(self) -> None:
        while True:
            client = self._client or self._listener.accept()[0]  # type: ignore[union-attr]
            with client:
                self._serve(client)
            if self._client:
                return

    def _serve(self, client: socket.socket) -> None:
        client.sendall(b'{"QMP": {"version": {}}}\r\n')
        pending = b""
        while True:
            data, fds, _, _ = socket.recv_fds(client, 4096, 1)
            self._fd = fds[0] if fds else self._fd
            if not data:
                return
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                command = json.loads(line)
                name = command["execute"]
                self.commands.append(name)
                client.sendall(b'{"event": "STOP", "timestamp": {}}\r\n')
                answer = self.answers.get(name, {"return": self._do(name)})
                if answer is None:
                    return
                client.sendall(json.dumps({"id": command["id"], **answer}).encode() + b"\r\n")

    def _do(self, name: str) -> dict[str, Any]:
        if name == "add-fd":
            return {"fdset-id": 3}
        if name == "xen-save-devices-state":
            os.write(self._fd, self.state)
            os.close(self._fd)
        return {}
