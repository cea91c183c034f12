"""Start, stop and control the QEMU process.

Does not know what runs inside.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyxl.errors import LabError, LabLost
from pyxl.lab import recipe
from pyxl.lab.tools import find

BOOT_FILES = ("xen", "vmlinuz", "initrd.img")
MONITOR_SECONDS = 120.0  # the longest wait for one answer: a savevm on a slow disk


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As QEMU does: a port is free even if its last connection still lingers.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def nested_kvm(proc: Path = Path("/proc/cpuinfo"), modules: Path = Path("/sys/module"),
               device: Path = Path("/dev/kvm")) -> bool:  # fmt: skip
    """Tell whether KVM here can run a hypervisor in a guest; that /dev/kvm opens is not enough."""
    try:
        flags = set(re.findall(r"\b(?:svm|vmx)\b", proc.read_text()))
        name = "kvm_amd" if "svm" in flags else "kvm_intel"
        nested = (modules / name / "parameters/nested").read_text().strip() in ("1", "Y")
        if not flags or not nested:
            return False
        os.close(os.open(device, os.O_RDWR))
    except OSError:
        return False
    return True


def qemu_version() -> str:
    """Return the installed QEMU's version; a snapshot needs the version that wrote it."""
    done = subprocess.run([find(recipe.QEMU) or recipe.QEMU, "--version"], capture_output=True, text=True)
    return done.stdout.splitlines()[0].removeprefix("QEMU emulator version ").strip() if done.stdout else "unknown"


class Machine:
    """The QEMU of one instance, known by the pid file in its ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid_file = directory / "qemu.pid"
        self.log = directory / "qemu.log"
        self.serial = directory / "serial.log"

    def pid(self) -> int | None:
        """Return the pid of the running QEMU, or None; a recycled pid is not taken for it."""
        try:
            pid = int(self.pid_file.read_text())
            cmdline = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.pid_file) in cmdline else None

    def start(
        self, image: Path, disk: Path, port: int, *, kvm: bool, snapshot: str = "", stock: bool = False
    ) -> None:
        """Start QEMU in a session of its own, from ``snapshot`` or cold, perhaps with systemd; return when it runs.

        :raise LabLost: it did not start.
        """
        argv = recipe.command_line(self.directory, disk, port, kvm=kvm, snapshot=snapshot, stock=stock)
        argv[0] = find(recipe.QEMU) or recipe.QEMU
        for name in BOOT_FILES:
            (self.directory / name).unlink(missing_ok=True)
            (self.directory / name).symlink_to(image / name)
        with self.log.open("wb") as log:
            # With -daemonize QEMU leaves our session; its first process ends when the machine runs or fails.
            done = subprocess.run(argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode or self.pid() is None:
            reason = self.log.read_text(errors="replace").strip().splitlines()
            raise LabLost(f"QEMU did not start: {reason[-1] if reason else f'status {done.returncode}'}",
                          f"its output: {self.log}")  # fmt: skip

    def stop(self) -> None:
        """Have QEMU quit, kill it if it does not, and return when it is gone."""
        pid = self.pid()
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return
        for how in (self._quit, lambda: os.kill(pid, signal.SIGTERM), lambda: os.kill(pid, signal.SIGKILL)):
            deadline = time.monotonic() + 5
            try:
                how()
            except (OSError, LabError):
                deadline = 0  # it did not listen, or was already gone
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.pid() is None:
                self.pid_file.unlink(missing_ok=True)
                return
        raise LabError(f"QEMU {pid} does not end", f"kill -9 {pid}")

    def _quit(self) -> None:
        self.execute("quit", timeout=5)

    def execute(
        self, command: str, arguments: Mapping[str, str] | None = None, timeout: float = MONITOR_SECONDS
    ) -> Any:
        """Run one QMP command and return its result.

        :raise LabLost: the monitor is gone or does not answer.
        :raise LabError: QEMU refused the command.
        """
        try:
            # A socket's address holds 108 bytes; /proc/self/fd shortens a long path.
            directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(timeout)
                    client.connect(f"/proc/self/fd/{directory}/{recipe.SOCKET}")
                    with client.makefile("rwb") as stream:
                        stream.readline()
                        for name, values in (("qmp_capabilities", {}), (command, dict(arguments or {}))):
                            message = {"execute": name, "arguments": values}
                            stream.write(json.dumps(message).encode() + b"\n")
                            stream.flush()
                            answer = self._answer(stream)
            finally:
                os.close(directory)
        except (OSError, ValueError) as error:
            raise LabLost(f"QEMU's monitor does not answer ({error})", f"its log: {self.serial}") from error
        if "error" in answer:
            raise LabError(f"QEMU refused {command}: {answer['error'].get('desc', '')}")
        return answer.get("return")

    @staticmethod
    def _answer(stream: Any) -> dict[str, Any]:
        # Events come between answers.
        while line := stream.readline():
            message: dict[str, Any] = json.loads(line)
            if "return" in message or "error" in message:
                return message
        raise ValueError("it hung up")

    def monitor(self, words: Sequence[str]) -> str:
        """Run one command of QEMU's human monitor, such as savevm; return its output, "" if all is well."""
        text = self.execute("human-monitor-command", {"command-line": " ".join(words)})
        return str(text or "").strip()
