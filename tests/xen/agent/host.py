"""dom0 as the agent sees it: xenstored and Xen asked directly, and processes.

Of pyxl it uses the bare calls into Xen's libraries only.
"""

import contextlib
import ctypes
import os
import re
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from pyxl.xen import lib
from pyxl.xen.ctrl import Control


class Store:
    """xenstored, spoken to directly: a poll must cost next to nothing."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect("/run/xenstored/socket")

    def _ask(self, kind: int, body: bytes) -> bytes | None:
        self._socket.sendall(struct.pack("=IIII", kind, 0, 0, len(body)) + body)
        answer, _, _, length = struct.unpack("=IIII", self._exactly(16))
        text = self._exactly(length)
        return None if answer == 16 else text

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise OSError("xenstored hung up")
            data += part
        return data

    def read(self, path: str) -> str:
        return (self._ask(2, path.encode() + b"\0") or b"").decode()

    def children(self, path: str) -> list[str]:
        return [name for name in (self._ask(1, path.encode() + b"\0") or b"").decode().split("\0") if name]

    def write(self, path: str, value: str) -> None:
        self._ask(11, path.encode() + b"\0" + value.encode())

    def domid(self, name: str) -> int:
        """Return the domid of a domain of that name, 0 where there is none."""
        found = [domid for domid in self.children("/local/domain") if self.read(f"/local/domain/{domid}/name") == name]
        return max(map(int, found), default=0)


class Xen(Control):
    """What of the hypervisor is needed beside pyxl's own."""

    def pause(self, domid: int) -> None:
        lib.check(self._call("xc_domain_pause")(self._handle, domid), "xc_domain_pause")

    def unpause(self, domid: int) -> None:
        self._call("xc_domain_unpause")(self._handle, domid)

    def shut_down(self, domid: int, reason: int) -> None:
        self._call("xc_domain_shutdown", ctypes.c_int)(self._handle, domid, reason)

    def put_to_sleep(self, domid: int) -> None:
        """Set the HVM param that says ACPI S3."""
        call = self._call("xc_hvm_param_set", ctypes.c_uint32, ctypes.c_uint64)
        lib.check(call(self._handle, domid, 14, 3), "xc_hvm_param_set", domid)

    def attach_debugger(self, domid: int) -> None:
        """Have Xen believe that a debugger is attached."""
        call = self._call("xc_domain_setdebugging", ctypes.c_uint)
        lib.check(call(self._handle, domid, 1), "xc_domain_setdebugging", domid)

    def domids(self) -> set[int]:
        return {domain.domid for domain in self.domains()}

    def state(self, domid: int) -> str:
        """Return how a guest is, in a word."""
        domain = self.domain(domid) if domid else None
        if domain is None:
            return "gone"
        if domain.dying:
            return "dying"
        if domain.shutdown_reason is not None:
            return "suspended" if domain.shutdown_reason == 2 else f"shut down ({int(domain.shutdown_reason)})"
        return "paused" if domain.paused else "running"

    @staticmethod
    def _call(name: str, *arguments: type) -> Callable[..., int]:
        return lib.declare(lib.load("xenctrl"), ctypes.c_int, name, ctypes.c_void_p, ctypes.c_uint32, *arguments)


def processes() -> dict[int, str]:
    """Return the command lines of all processes but the kernel's and ours."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if line:
                    found[int(entry.name)] = line
    return found


def monitors() -> list[str]:
    """Return whose monitors run: of each, "pyxl" or "xl"."""
    found = (re.search(r"/(pyxl)-monitor |(?:^|[/ ])(xl) (?:restore|create) ", line) for line in processes().values())
    return sorted(match[1] or match[2] for match in found if match)


def said_by(*command: str | os.PathLike[str], seconds: float = 200) -> tuple[int, str]:
    """Run a command to its end; return its status and its last words."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=seconds)  # fmt: skip
    return done.returncode, done.stdout.decode(errors="replace").strip()[-1500:]
