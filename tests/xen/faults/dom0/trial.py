"""Run one operation with a fault, and see how it ends."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.xen.agent.host import Store, Xen, processes
from tests.xen.faults.dom0 import repositories
from tests.xen.faults.dom0.disk import MOUNT, FailingDisk
from tests.xen.faults.dom0.places import GOOD, GUEST, HOME, JOURNALS

T = TypeVar("T")
#: The config for `create`, and the uuid in it.
CONFIG = HOME / "create.cfg"
CREATED_UUID = "faa1faa1-0000-4000-8000-000000000001"
OLD = b"the old checkpoint\n"
MEMORY = 128 << 20
#: Seconds between two looks whether the moment has come; more while pyxl starts, as each look slows it.
POLL = 0.005
STARTING = 0.05
#: Seconds between two walks through all processes, which cost more.
WALK = 0.02
#: Faults of a disk, and those that need their own copy of the file to restore.
ON_DISK = {"disk fails", "disk becomes read-only"}
OF_FILE = {"file cut", "file overwritten"}
CREATE_WITH = {"device model that fails": ['device_model_override="/bin/false"']}


class Trial:
    """An operation under a fault; ``mend`` has what to put back once the operation has ended."""

    def __init__(self, xen: Xen, store: Store, spec: dict[str, Any]) -> None:
        self.tool: str = spec["tool"]
        self.verb, *self.flags = str(spec["operation"]).split()
        self.when: str = spec["when"]
        self.what: str = spec["what"]
        self.xen, self.store = xen, store
        self.before = self.xen.domids()
        self.name = "created" if self.verb == "create" else GUEST
        self.is_save = self.verb in ("save", "checkpoint")
        self.domid = self.store.domid(GUEST) if self.is_save else 0
        domain = self.xen.domain(self.domid)
        uuid = domain.uuid if domain and self.domid else CREATED_UUID if self.verb == "create" else spec["uuid"]
        self.mend: list[Callable[[], object]] = []
        self.preexec: Callable[[], None] | None = None
        self.process: subprocess.Popen[bytes]
        self._started = 0.0
        self._random_at: float = random.Random(spec["seed"]).random() * spec["span"]
        self._journal_path = JOURNALS / uuid
        self._journal = -1
        self._helper = 0
        self._walked = 0.0
        self._lay_out()

    def _lay_out(self) -> None:
        """Make the files that the operation works on."""
        self.place = HOME / "place"
        if self.what in ON_DISK:
            self.disk = FailingDisk()
            self.place = MOUNT / "place"
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        if self.what == "disk full":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=180m", "tmpfs", self.place], check=True)
            self.mend.append((self.place / "other").unlink)
        self.target = self.place / "checkpoint"
        if self.verb == "save":
            self.target.write_bytes(OLD)
            os.sync()  # before the disk fails
        elif self.verb == "checkpoint":
            repositories.lay_out(self.target)
            os.sync()
        elif self.what in OF_FILE:
            shutil.copyfile(GOOD, self.target)
        else:
            self.target = GOOD

    def command(self) -> list[str]:
        arguments = {
            "save": [GUEST, str(self.target)],
            "checkpoint": [GUEST, str(self.target)],
            "restore": [str(self.target)],
            "create": [str(CONFIG), *CREATE_WITH.get(self.what, [])],
        }[self.verb]
        return [self.tool, self.verb, *self.flags, *arguments]

    def run(self, strike: Callable[["Trial"], object], limit: float) -> dict[str, Any]:
        """Run the operation with its fault; it may take ``limit`` seconds after the fault.

        ``struck`` is the moment of the fault in seconds from the start, None if it never came.
        """
        out = HOME / "out"
        struck = None
        if self.when == "start":
            strike(self)
            struck = 0.0
        self._started = started = time.monotonic()
        with out.open("wb") as said:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                            start_new_session=True, preexec_fn=self.preexec)  # fmt: skip
        end = started + limit
        while self.process.poll() is None and time.monotonic() < end:
            if struck is None and self._is_due():
                struck = time.monotonic() - started
                try:
                    strike(self)
                except (TimeoutError, OSError) as error:
                    struck = None
                    out.write_text(f"{out.read_text(errors='replace')}\nthe fault could not be done: {error}")
                    break
                end = time.monotonic() + limit
            time.sleep(STARTING if struck is not None or self._is_starting() else POLL)
        if struck is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(limit)
        ended = time.monotonic()
        hung = self.process.poll() is None
        for step in reversed(self.mend):
            step()
        if self._journal >= 0:
            os.close(self._journal)
        if hung:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return {
            "status": "hung" if hung else self.process.returncode, "struck": struck, "seconds": ended - started,
            "said": out.read_text(errors="replace").strip()[-1500:],
        }  # fmt: skip

    # Moments.

    def _is_starting(self) -> bool:
        return self.tool == "pyxl" and not (self._noted() or self.when == "random")

    def _is_due(self) -> bool:
        """Tell whether the moment of the fault has come."""
        if self.when == "random":
            return time.monotonic() >= self._started + self._random_at
        if self.when.endswith("%"):
            return self.position() >= int(self.when.split()[0]) * MEMORY // 100
        phase, _, later = self.when.partition(" + ")
        if self.tool == "pyxl":
            has_come = f'"{phase}"' in self._noted()
        else:
            has_come = phase in _SIGNS and _SIGNS[phase](self)
        if has_come and later:
            time.sleep(int(later.split()[0]) / 1000)
        return has_come

    def _noted(self) -> str:
        """Return the operation's journal; keeps it open, so that it can be read after its removal."""
        if self._journal < 0:
            try:
                fd = os.open(self._journal_path, os.O_RDONLY)
            except OSError:
                return ""
            if f'"pid": {self.process.pid},'.encode() not in os.pread(fd, 1 << 16, 0):
                os.close(fd)
                return ""
            self._journal = fd
        return os.pread(self._journal, 1 << 16, 0).decode()

    def position(self) -> int:
        """Return how many bytes of the stream a save has written, or a restore has read."""
        if self.is_save:
            with contextlib.suppress(OSError):
                size = self.new_file().stat().st_size
                return size if size != len(OLD) else 0
        elif helper := self.helper():
            with contextlib.suppress(OSError):
                for fd in Path(f"/proc/{helper}/fd").iterdir():
                    if str(fd.readlink()).startswith(str(self.target)):
                        return int(Path(f"/proc/{helper}/fdinfo/{fd.name}").read_text().split()[1])
        return 0

    def new_file(self) -> Path:
        """Return the file that a save writes to."""
        if self.verb == "checkpoint":
            return self.target / f"packs/.00000002.pack.{self.process.pid}.new"
        return self.target if self.tool == "xl" else self.place / f".checkpoint.{self.process.pid}.new"

    def helper(self) -> int:
        """Return the pid of the operation's save-helper, 0 while there is none."""
        if not Path(f"/proc/{self._helper or 'none'}").exists():
            word = "--save-domain" if self.is_save else "--restore-domain"
            self._helper = self._pid_of(lambda line: word in line)
        return self._helper

    def qemu(self) -> int:
        """Return the pid of the guest's device model, 0 while there is none."""
        word = f"-xen-domid {self.domid or self.new_domid()} "
        return self._pid_of(lambda line: "qemu-system" in line and word in line)

    def _pid_of(self, is_it: Callable[[str], bool]) -> int:
        if time.monotonic() < self._walked + WALK:
            return 0
        found = [pid for pid, line in processes().items() if is_it(line)]
        self._walked = time.monotonic()
        return found[0] if found else 0

    def new_domid(self) -> int:
        """Return the domid of the domain that a restore or create builds, 0 while there is none."""
        return max(self.xen.domids() - self.before, default=0)

    def wait(self, what: Callable[[], T], seconds: float = 60) -> T:
        """Wait until ``what`` returns something true, and return that.

        :raise TimeoutError: it never did.
        """
        end = time.monotonic() + seconds
        while not (found := what()):
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError("what it is done to never came")
            time.sleep(POLL)
        return found


#: How to see from outside that xl is in a phase; phases that cannot be seen have no faults.
_SIGNS: dict[str, Callable[[Trial], bool]] = {
    "OPEN_FILE": lambda t: t.target.stat().st_size != len(OLD),
    "CONFIG": lambda t: t.position() > 0,
    "SUSPEND": lambda t: t.store.read(f"/local/domain/{t.domid}/control/shutdown") == "suspend",
    "DEVICE_MODEL": lambda t: t.xen.state(t.domid) == "suspended",
    "MEMORY": lambda t: t.position() > 1 << 20,
    "DEVICE_MODEL_STATE": lambda t: t.position() > MEMORY // 2 and not t.helper(),
    "BUILD": lambda t: bool(t.new_domid()),
}
