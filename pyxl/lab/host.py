"""dom0 from outside: run commands and copy files and the working tree over one kept ssh connection."""

import fcntl
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyxl.errors import LabError, LabLost
from pyxl.lab.tree import archive

CONNECTION = "ssh"  # the control socket, relative to the instance's directory: a socket's path is short
PYXL = "/opt/pyxl"  # where push puts the working tree
# The old tree stays in place until the new one is whole, for commands that run meanwhile.
SCRIPT = f'#!/bin/sh\nPYTHONPATH={PYXL} exec python3 -P -m pyxl "$@"\n'
UNPACK = f"""set -e
rm -rf {PYXL}.new
tar -xf - -C {Path(PYXL).parent} --no-same-owner
if [ -e {PYXL} ]; then mv {PYXL} {PYXL}.old; fi
mv {PYXL}.new {PYXL}
rm -rf {PYXL}.old
printf %s {shlex.quote(SCRIPT)} > /usr/local/bin/pyxl
chmod 755 /usr/local/bin/pyxl
"""

Input = bytes | str | IO[bytes] | int | None


class Host:
    """ssh to dom0 on ``port``; ``alive`` tells whether the emulator still runs."""

    def __init__(self, directory: Path, key: Path, port: int, alive: Callable[[], bool]) -> None:
        self.directory = directory
        self.key = key
        self.port = port
        self.alive = alive

    def ssh(self, *options: str) -> list[str]:
        """Return ssh's argv up to the host name; it must run in the instance's directory."""
        settings = [
            "BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
            "IdentitiesOnly=yes", "ServerAliveInterval=20", "ServerAliveCountMax=6",
            f"ControlPath={CONNECTION}", "ControlMaster=no",
        ]  # fmt: skip
        # ssh takes the first value of a setting, so the caller's options come before ours.
        argv = ["ssh", "-F", "none", "-i", os.fspath(self.key), "-p", str(self.port), *options]
        for setting in settings:
            argv += ["-o", setting]
        return [*argv, "root@127.0.0.1"]

    def wait(self, seconds: float) -> None:
        """Wait until ssh answers, and keep that connection for later commands.

        :raise LabLost: it did not answer within ``seconds``, or the emulator died.
        """
        deadline = time.monotonic() + seconds
        patience = 3
        while not self._connect(patience):
            # Short tries notice soon that it has booted; one that shares its processors needs longer ones.
            patience = min(patience + 1, 15)
            if not self.alive():
                raise LabLost("the emulator died", "start it again: pyxl lab up")
            if time.monotonic() > deadline:
                raise LabLost(f"dom0 did not answer within {seconds:.0f} s", "start it again: pyxl lab reset")
            time.sleep(0.1)

    def _connect(self, patience: int) -> bool:
        """Open a connection in the background unless one is open; return False if that fails."""
        with (self.directory / "ssh.lock").open("w") as lock:
            # Without the lock, two commands that start at once would each open a connection.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._control("check"):
                return True
            (self.directory / CONNECTION).unlink(missing_ok=True)
            timeout = f"ConnectTimeout={patience}"
            argv = self.ssh("-o", "ControlMaster=yes", "-o", "ControlPersist=yes", "-o", timeout, "-N", "-f")
            return self._quietly(argv, patience * 5)

    def _control(self, verb: str) -> bool:
        return (self.directory / CONNECTION).exists() and self._quietly(self.ssh("-O", verb), 10)

    def _quietly(self, argv: list[str], seconds: float) -> bool:
        null = subprocess.DEVNULL
        try:
            # The connection in the background must not hold its caller's pipes open.
            done = subprocess.run(argv, cwd=self.directory, stdin=null, stdout=null, stderr=null, timeout=seconds,
                                  start_new_session=True)  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def disconnect(self) -> None:
        """Close the kept connection, as this dom0 is about to be replaced."""
        self._control("exit")
        (self.directory / CONNECTION).unlink(missing_ok=True)

    def run(
        self, command: str | Sequence[str], *, input: Input = None, stdout: IO[bytes] | int | None = subprocess.PIPE,
        stderr: IO[bytes] | int | None = subprocess.PIPE, timeout: float | None = None, terminal: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        """Run a command in dom0; a string is a line for its shell, a sequence of several words is quoted for it.

        :raise LabLost: the emulator or the connection was lost.
        :raise LabError: the command did not end within ``timeout`` seconds.
        """
        line = command if isinstance(command, str) else command[0] if len(command) == 1 else shlex.join(command)
        if not self.alive():
            raise LabLost("the lab's emulator is not running", "start it: pyxl lab up")
        self.wait(30)
        before = self._identity()
        argv = [*self.ssh("-t" if terminal else "-T"), "--", line]
        try:
            with readable(input) as stdin:
                done = subprocess.run(argv, cwd=self.directory, stdin=stdin, stdout=stdout, stderr=stderr,
                                      timeout=timeout)  # fmt: skip
        except subprocess.TimeoutExpired as error:
            if not self.alive() or not self._quietly([*self.ssh(), "true"], 30):
                raise LabLost(f"dom0 stopped answering while it ran: {line}") from error
            raise LabError(f"not done after {timeout:.0f} s in dom0: {line}") from error
        # 255 may be ssh's failure or the command's status: it is the command's if our connection still lives.
        if done.returncode == 255 and (self._identity() != before or not self._control("check")):
            raise LabLost(f"the connection to dom0 was lost while it ran: {line}", "start it again: pyxl lab reset")
        return done

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = (self.directory / CONNECTION).stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_ctime_ns

    def check(self, command: str | Sequence[str], *, input: Input = None, timeout: float | None = 60) -> str:
        """Run a command that has to succeed; return its standard output.

        :raise LabError: it failed; the message has its output.
        """
        done = self.run(command, input=input, timeout=timeout)
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            words = command if isinstance(command, str) else shlex.join(command)
            raise LabError(f"in dom0, status {done.returncode}: {words}\n{said}".rstrip())
        return done.stdout.decode("utf-8", "replace")

    def set_clock(self) -> None:
        """Set dom0's clock: after a snapshot is loaded it shows the snapshot's time."""
        self.check(f"date -u -s @{time.time():.2f} >/dev/null")

    def push(self, tree: Path, python: tuple[int, int], cache: Path) -> int:
        """Copy pyxl, its helper and the example configs from ``tree`` to dom0; return the number of files.

        ``python`` is dom0's version, ``cache`` a directory for compiled modules.
        """
        data, count = archive(tree, f"{PYXL}.new", python, cache)
        self.check(UNPACK, input=data)
        return count

    def put(self, local: Path, remote: str) -> None:
        """Copy a file into dom0 with its mode."""
        mode = local.stat().st_mode & 0o7777
        with local.open("rb") as file:
            self.check(f"cat > {shlex.quote(remote)} && chmod {mode:o} {shlex.quote(remote)}", input=file, timeout=600)

    def get(self, remote: str, local: Path) -> None:
        """Copy a file out of dom0."""
        with local.open("wb") as file:
            done = self.run(["cat", "--", remote], stdout=file, timeout=600)
        if done.returncode:
            local.unlink()
            raise LabError(f"dom0 has no {remote}: {done.stderr.decode('utf-8', 'replace').strip()}")


@contextmanager
def readable(source: Input) -> Iterator[IO[bytes] | int]:
    """Yield ``source`` as a file that can be a program's standard input."""
    if isinstance(source, bytes | str):
        with tempfile.TemporaryFile() as file:
            file.write(source.encode() if isinstance(source, str) else source)
            file.seek(0)
            yield file
    else:
        yield subprocess.DEVNULL if source is None else source
