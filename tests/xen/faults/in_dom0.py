"""Runs in dom0: start an operation, do one fault to it at its moment, wait for the end, and say what is left.

One JSON object in (an argument, or a line of standard input), one JSON line out.  It judges nothing.  Of pyxl it uses
the bare calls into Xen's libraries only.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, "/opt/pyxl")

from pyxl.xen import lib
from pyxl.xen.ctrl import Control

HOME = Path("/root/faults")
#: A whole checkpoint of the guest, and the config that `create` is given.
GOOD = HOME / "good"
CONFIG = HOME / "create.cfg"
#: Of pyxl's operations that are not over.
JOURNALS = Path("/var/lib/xen/pyxl")
OLD = b"the old checkpoint\n"
POLL = 0.002
#: Of a file, so that its head is there for all to read.
HEAD = 1 << 16


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
            data += self._socket.recv(count - len(data))
        return data

    def read(self, path: str) -> str:
        return (self._ask(2, path.encode() + b"\0") or b"").decode()

    def children(self, path: str) -> list[str]:
        return [name for name in (self._ask(1, path.encode() + b"\0") or b"").decode().split("\0") if name]

    def write(self, path: str, value: str) -> None:
        self._ask(11, path.encode() + b"\0" + value.encode())


class Xen(Control):
    """What of the hypervisor is needed beside pyxl's own."""

    def pause(self, domid: int) -> None:
        lib.check(lib.declare(lib.load("xenctrl"), ctypes.c_int, "xc_domain_pause", ctypes.c_void_p, ctypes.c_uint32)(
            self._handle, domid), "xc_domain_pause")  # fmt: skip

    def unpause(self, domid: int) -> None:
        lib.declare(lib.load("xenctrl"), ctypes.c_int, "xc_domain_unpause", ctypes.c_void_p, ctypes.c_uint32)(
            self._handle, domid)  # fmt: skip

    def shut_down(self, domid: int, reason: int) -> None:
        lib.declare(lib.load("xenctrl"), ctypes.c_int, "xc_domain_shutdown", ctypes.c_void_p, ctypes.c_uint32,
                    ctypes.c_int)(self._handle, domid, reason)  # fmt: skip


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


class FailingDisk:
    """An ext4 on a device-mapper device over a loop device, whose every sector can be made to fail."""

    MIB = 400
    MOUNT = HOME / "failing"
    _CREATE, _SUSPEND, _LOAD = 3, 6, 9
    _SUSPENDED, _SKIP_LOCKFS, _NOFLUSH = 2, 1 << 10, 1 << 11

    def __init__(self) -> None:
        image = HOME / "failing.img"
        if not image.exists():
            image.touch()
            os.truncate(image, self.MIB << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "quota", "-E", "lazy_itable_init=1", image], check=True)
        said = subprocess.run(["losetup", "-j", image, "-O", "NAME", "-n"], stdout=subprocess.PIPE, check=True).stdout
        if not said.strip():
            subprocess.run(["modprobe", "dm-mod"], check=True)
            subprocess.run(["modprobe", "quota_v2"], check=True)
            said = subprocess.run(["losetup", "-f", "--show", image], stdout=subprocess.PIPE, check=True).stdout
            self._ioctl(self._CREATE)
        self._loop = said.decode().split()[0]
        self.node = f"dm-{self._load('linear', self._loop + ' 0') & 0xFF}"
        self._mount()

    def _mount(self) -> None:
        self.MOUNT.mkdir(exist_ok=True)
        if not os.path.ismount(self.MOUNT):
            options = "errors=remount-ro,usrquota"
            subprocess.run(["mount", "-o", options, f"/dev/{self.node}", self.MOUNT], check=True)

    def fail(self) -> None:
        """From now on no sector can be read or written."""
        self._load("error", "")

    def heal(self) -> None:
        """Have the disk back as it would be after a repair: mounted anew, its journal replayed."""
        self._load("linear", self._loop + " 0")
        for _ in range(50):
            if subprocess.run(["umount", self.MOUNT], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.2)
        self._mount()

    def use_up_quota(self) -> None:
        """Leave root one MiB above what it has."""
        quotactl = ctypes.CDLL(None, use_errno=True).quotactl
        limits = bytearray(72)
        buffer = (ctypes.c_char * 72).from_buffer(limits)
        device = f"/dev/{self.node}".encode()
        quotactl(0x800007 << 8, device, 0, buffer)  # Q_GETQUOTA of a user
        used = struct.unpack_from("=Q", limits, 16)[0]
        struct.pack_into("=QQ", limits, 0, (used >> 10) + 1024, (used >> 10) + 1024)
        struct.pack_into("=I", limits, 64, 1)  # the block limits are what counts
        if quotactl(0x800008 << 8, device, 0, buffer):
            raise OSError(ctypes.get_errno(), "quotactl")

    def lift_quota(self) -> None:
        limits = bytearray(72)
        struct.pack_into("=I", limits, 64, 1)
        ctypes.CDLL(None).quotactl(0x800008 << 8, f"/dev/{self.node}".encode(), 0,
                                   (ctypes.c_char * 72).from_buffer(limits))  # fmt: skip

    def _load(self, target: str, parameters: str) -> int:
        spec = struct.pack("=QQiI16s", 0, self.MIB << 11, 0, 0, target.encode()) + parameters.encode() + b"\0"
        self._ioctl(self._LOAD, spec + bytes(-len(spec) % 8))
        self._ioctl(self._SUSPEND, flags=self._SUSPENDED | self._SKIP_LOCKFS | self._NOFLUSH)
        return self._ioctl(self._SUSPEND)

    def _ioctl(self, command: int, data: bytes = b"", flags: int = 0) -> int:
        """Do one device-mapper call and return the device's number."""
        head = struct.pack("=IIIIIIiIIIQ128s129s7x", 4, 0, 0, 312 + len(data), 312, 1 if data else 0, 0, flags, 0, 0, 0,
                           b"faults", b"")  # fmt: skip
        buffer = bytearray(head + data)
        with open("/dev/mapper/control", "rb+", buffering=0) as control:
            fcntl.ioctl(control, 3 << 30 | 312 << 16 | 0xFD << 8 | command, buffer)
        return int(struct.unpack_from("=Q", buffer, 40)[0])


class Trial:
    """One operation and the fault that befalls it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.tool: str = spec["tool"]
        self.verb, *self.flags = str(spec["operation"]).split()
        self.when: str = spec["when"]
        self.what: str = spec["what"]
        self.span: float = spec["span"]
        self.guest: str = spec["guest"]
        self.random = random.Random(spec["seed"])
        self.xen, self.store = Xen(), Store()
        self.before = {domain.domid for domain in self.xen.domains()}
        self.domid = self._domid_of(self.guest)
        self.memory = 128 << 20
        self.place = HOME / "place"
        self.mend: list[Callable[[], object]] = []
        self.preexec: Callable[[], None] | None = None
        self.console = -1
        self.target = self.place / "checkpoint"
        self._helper = 0
        self.setup()

    # What there is before it starts.

    def setup(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        if self.what in ON_DISK:
            self.disk = FailingDisk()
            self.place = self.disk.MOUNT / "place"
            shutil.rmtree(self.place, ignore_errors=True)
            self.place.mkdir()
        elif self.what == "disk full":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=180m", "tmpfs", self.place], check=True)
            self.mend.append(lambda: (self.place / "other").unlink(missing_ok=True))
        self.target = self.place / "checkpoint"
        if self.verb == "save":
            self.target.write_bytes(OLD)
        elif self.verb == "restore":
            if self.what in ON_DISK or self.what.startswith("file "):
                shutil.copyfile(GOOD, self.target)
            else:
                self.target = GOOD
        os.sync()
        if self.what in ON_DISK and self.verb == "restore":
            Path("/proc/sys/vm/drop_caches").write_text("3")
        if self.domid and (path := self.store.read(f"/local/domain/{self.domid}/serial/0/tty")):
            self.console = os.open(path, os.O_RDWR | os.O_NOCTTY)
        if self.domid:
            trace_log_dirty(self.domid)

    def command(self) -> list[str]:
        arguments = {
            "save": [self.guest, str(self.target)],
            "restore": [str(self.target)],
            "create": [str(CONFIG), *CREATE_WITH.get(self.what, [])],
        }[self.verb]
        return [self.tool, self.verb, *self.flags, *arguments]

    def _domid_of(self, name: str) -> int:
        for domid in self.store.children("/local/domain"):
            if self.store.read(f"/local/domain/{domid}/name") == name:
                return int(domid)
        return 0

    # Run.

    def run(self, limit: float) -> dict[str, Any]:
        """Run the operation under its fault; ``limit`` is in seconds from the fault on."""
        strike = FAULTS[self.what]
        struck = ""
        out = HOME / "out"
        if self.when == "start":
            strike(self)
            struck = "before the start"
        with out.open("wb") as said:
            started = time.monotonic()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                            start_new_session=True, preexec_fn=self.preexec)  # fmt: skip
        pid = self.process.pid
        due = self._moment()
        end = started + limit
        while self.process.poll() is None:
            now = time.monotonic()
            if not struck and due():
                struck = f"after {time.monotonic() - started:.2f} s"
                strike(self)
                end = time.monotonic() + limit
            elif now > end:
                break
            time.sleep(0.05 if struck else POLL)
        ended = time.monotonic()
        hung = self.process.poll() is None
        for step in reversed(self.mend):
            step()
        if hung:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            self.process.wait()
        return {
            "status": "hung" if hung else self.process.returncode, "said": out.read_text(errors="replace")[-1500:],
            "struck": struck, "seconds": round(ended - started, 1),
        }  # fmt: skip

    # Moments.

    def _moment(self) -> Callable[[], bool]:
        """Return what tells whether the fault is due."""
        if self.when.startswith("random"):
            at = time.monotonic() + self.random.random() * self.span
            return lambda: time.monotonic() >= at
        if self.when.endswith("%"):
            share = int(self.when.split()[0]) / 100
            return lambda: self.position() >= share * self.memory
        return self._phase_noted if self.tool == "pyxl" else self._sign_seen

    def _phase_noted(self) -> bool:
        for path in JOURNALS.glob("*"):
            with contextlib.suppress(OSError):
                text = path.read_text()
                if f'"pid": {self.process.pid},' in text:
                    return f'"{self.when}"' in text
        return self._sign_seen()

    def _sign_seen(self) -> bool:
        """Tell whether the phase can be seen from outside; where nothing corresponds to it, it never can."""
        sign = self._SIGNS.get(self.when)
        return sign is not None and sign(self)

    def position(self) -> int:
        """Return how far the stream is, in bytes: written by a save, read by a restore."""
        if self.verb == "save":
            new = self.new_file()
            try:
                size = new.stat().st_size
            except OSError:
                return 0
            return size if size != len(OLD) else 0
        helper = self.helper()
        if helper:
            with contextlib.suppress(OSError):
                for fd in Path(f"/proc/{helper}/fd").iterdir():
                    if str(fd.readlink()).startswith(str(self.target)):
                        return int(Path(f"/proc/{helper}/fdinfo/{fd.name}").read_text().split()[1])
        return 0

    def new_file(self) -> Path:
        """Return the file that a save writes to."""
        if self.tool == "xl":
            return self.target
        return self.place / f".checkpoint.{self.process.pid}.new"

    def helper(self) -> int:
        """Return the pid of the operation's save-helper, 0 while there is none."""
        if self._helper and Path(f"/proc/{self._helper}").exists():
            return self._helper
        word = "--save-domain" if self.verb == "save" else "--restore-domain"
        found = [pid for pid, line in processes().items() if word in line]
        self._helper = found[0] if found else 0
        return self._helper

    def new_domid(self) -> int:
        """Return the domid of a domain that a restore or create has begun to build, 0 while there is none."""
        found = {domain.domid for domain in self.xen.domains()} - self.before
        return max(found, default=0)

    def _suspended(self) -> bool:
        domain = self.xen.domain(self.domid)
        return domain is not None and domain.shutdown_reason == 2

    def _helper_gone(self) -> bool:
        return self.position() > HEAD and not self.helper()

    # Where xl does nothing that corresponds to a phase there is no sign, and no fault.
    _SIGNS: ClassVar[dict[str, Callable[["Trial"], bool]]] = {
        "OPEN_FILE": lambda self: self.new_file().exists() and self.new_file().stat().st_size != len(OLD),
        "CONFIG": lambda self: self.position() > 0,
        "LOG_DIRTY": lambda self: bool(self.helper()),
        "SUSPEND": lambda self: self.store.read(f"/local/domain/{self.domid}/control/shutdown") == "suspend",
        "DEVICE_MODEL": _suspended,
        "MEMORY": lambda self: self.position() > 1 << 20,
        "DEVICE_MODEL_STATE": _helper_gone,
        "BUILD": lambda self: bool(self.new_domid()),
    }

    # Things that are done to it.

    def kill(self, *numbers: signal.Signals, group: bool = False) -> None:
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.process.pid, number)
            time.sleep(0.1 if len(numbers) > 1 else 0)

    def stop_helper_then_interrupt(self) -> None:
        self.to_helper(STOP)
        time.sleep(1)
        self.kill(INT)

    def to_helper(self, number: signal.Signals, *, go_on: bool = False) -> None:
        self._signal(self._wait(self.helper), number, go_on)

    def to_qemu(self, number: signal.Signals, *, go_on: bool = False) -> None:
        self._signal(self._wait(self.qemu), number, go_on)

    def qemu(self) -> int:
        domid = self.domid or self.new_domid()
        found = [pid for pid, line in processes().items() if f"-xen-domid {domid} " in line and "qemu-system" in line]
        return found[0] if found else 0

    def stop_xenstored(self, seconds: float) -> None:
        pid = int(Path("/run/xen/xenstored.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def update_xenstored(self) -> None:
        program = "/usr/lib/xen-4.17/bin/xenstored"
        subprocess.run(["xenstore-control", "live-update", "-t", "60", program], check=True, stdout=subprocess.DEVNULL)

    def fill(self) -> None:
        room = os.statvfs(self.place)
        with (self.place / "other").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)

    def fail_disk(self) -> None:
        self.mend.append(self.disk.heal)
        self.disk.fail()

    def disk_read_only(self) -> None:
        self.mend.append(self.disk.heal)
        Path(f"/sys/fs/ext4/{self.disk.node}/trigger_fs_error").write_text("1")

    def freeze(self, seconds: float) -> None:
        subprocess.run(["fsfreeze", "-f", self.disk.MOUNT], check=True)
        time.sleep(seconds)
        subprocess.run(["fsfreeze", "-u", self.disk.MOUNT], check=True)

    def quota(self) -> None:
        self.mend.append(self.disk.lift_quota)
        self.disk.use_up_quota()

    def rename_directory(self) -> None:
        away = self.place.with_name("away")
        shutil.rmtree(away, ignore_errors=True)
        self.place.rename(away)
        self.mend += [lambda: away.rename(self.place), lambda: shutil.rmtree(self.place, ignore_errors=True)]

    def into_directory(self) -> None:
        kept = self.target.with_name("kept")
        self.target.rename(kept)
        self.target.mkdir()
        self.mend += [lambda: kept.rename(self.target), self.target.rmdir]

    def mute(self) -> None:
        """Keep the guest from running, behind the operation's back, until it has ended."""
        self.xen.pause(self.domid)
        self.mend.append(lambda: self.xen.unpause(self.domid))

    def at_request(self, act: Callable[[str], object]) -> None:
        """Do something in the guest's place when it is asked to suspend."""
        self.mute()
        path = f"/local/domain/{self.domid}/control/shutdown"
        self._wait(lambda: self.store.read(path) == "suspend")
        act(path)

    def destroy(self) -> None:
        domid = self.domid if self.verb == "save" else self._wait(self.new_domid)
        other = subprocess.Popen(["xl", "destroy", str(domid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.mend.append(other.wait)

    def overwrite(self) -> None:
        """Change some of what was not read yet."""
        with self.target.open("r+b") as file:
            file.seek(self.target.stat().st_size * 3 // 4)
            file.write(b"\xa5" * (1 << 20))

    def limit(self, what: int, value: int) -> None:
        self.preexec = lambda: resource.setrlimit(what, (value, value))

    def not_writable(self) -> None:
        """Mount the directory over itself, for reading only: root may write into any other."""
        subprocess.run(["mount", "--bind", self.place, self.place], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", self.place], check=True)
        self.mend.append(lambda: subprocess.run(["umount", self.place], check=True))

    def _signal(self, pid: int, number: signal.Signals, go_on: bool) -> None:
        os.kill(pid, number)
        if number == signal.SIGSTOP and not go_on:
            self.mend.append(lambda: _continue(pid))
        if go_on:
            time.sleep(5)
            _continue(pid)

    def _wait(self, what: Callable[[], Any], seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while not (found := what()):
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError("what the fault is done to never came")
            time.sleep(POLL)
        return found


def _continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def trace_log_dirty(domid: int) -> None:
    """Have a device model say in its log when it begins or ends to report the pages that it writes."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(5)
        channel.connect(f"/var/run/xen/qmp-libxl-{domid}")
        file = channel.makefile("rwb", buffering=0)
        file.readline()
        for command in ({"execute": "qmp_capabilities"}, {
            "execute": "trace-event-set-state", "arguments": {"name": "global_dirty_changed", "enable": True}
        }):  # fmt: skip
            file.write(json.dumps(command).encode() + b"\n")
            file.readline()


INT, TERM, HUP, KILL, STOP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSTOP
POWEROFF, REBOOT, CRASH = 0, 1, 3


def _nothing(_: Trial) -> None:
    """The fault stands in the command."""


FAULTS: dict[str, Callable[[Trial], object]] = {
    "nothing": _nothing,
    "Ctrl-C": lambda t: t.kill(INT, group=True),  # the whole foreground group gets it
    "Ctrl-C twice": lambda t: t.kill(INT, INT, group=True),
    "SIGTERM": lambda t: t.kill(TERM),
    "SIGHUP": lambda t: t.kill(HUP, group=True),
    "SIGKILL": lambda t: t.kill(KILL),
    "helper killed": lambda t: t.to_helper(KILL),
    "helper told to end": lambda t: t.to_helper(TERM),
    "helper stopped, then Ctrl-C": Trial.stop_helper_then_interrupt,
    "helper stopped for 5 s": lambda t: t.to_helper(STOP, go_on=True),
    "qemu killed": lambda t: t.to_qemu(KILL),
    "qemu stopped": lambda t: t.to_qemu(STOP),
    "qemu stopped for 5 s": lambda t: t.to_qemu(STOP, go_on=True),
    "xenstored stopped for 15 s": lambda t: t.stop_xenstored(15),
    "xenstored updated": lambda t: t.update_xenstored(),
    "disk full": Trial.fill,
    "disk fails": Trial.fail_disk,
    "disk becomes read-only": Trial.disk_read_only,
    "disk frozen for 5 s": lambda t: t.freeze(5),
    "quota used up": Trial.quota,
    "file size limit": lambda t: t.limit(resource.RLIMIT_FSIZE, 64 << 20),
    "no descriptors left": lambda t: t.limit(resource.RLIMIT_NOFILE, 8),
    "directory not writable": Trial.not_writable,
    "directory renamed": Trial.rename_directory,
    "new file removed": lambda t: t.new_file().unlink(),
    "target becomes a directory": Trial.into_directory,
    "guest does not acknowledge": Trial.mute,
    "guest acknowledges, never suspends": lambda t: t.at_request(lambda path: t.store.write(path, "")),
    "guest crashes instead of suspending": lambda t: t.at_request(lambda _: t.xen.shut_down(t.domid, CRASH)),
    "guest reboots instead of suspending": lambda t: t.at_request(lambda _: t.xen.shut_down(t.domid, REBOOT)),
    "guest powers off instead of suspending": lambda t: t.at_request(lambda _: t.xen.shut_down(t.domid, POWEROFF)),
    "guest panics": lambda t: os.write(t.console, b"\npanic\n"),
    "guest crashes unasked": lambda t: t.xen.shut_down(t.domid, CRASH),
    "guest reboots unasked": lambda t: t.xen.shut_down(t.domid, REBOOT),
    "guest powers off unasked": lambda t: t.xen.shut_down(t.domid, POWEROFF),
    "domain destroyed": Trial.destroy,
    "file cut": lambda t: os.truncate(t.target, t.target.stat().st_size * 3 // 4),
    "file overwritten": Trial.overwrite,
    "file removed": lambda t: t.target.unlink(),
    "device model that fails": _nothing,
    "kernel missing": _nothing,
    "bridge missing": _nothing,
}
ON_DISK = {"disk fails", "disk becomes read-only", "disk frozen for 5 s", "quota used up"}
CREATE_WITH = {
    "device model that fails": ['device_model_override="/bin/false"'],
    "kernel missing": ['kernel="/no/vmlinuz"'],
    "bridge missing": ['vif=["bridge=nosuch"]'],
}


def state_of(xen: Xen, domid: int) -> str:
    """Return how a guest is, in a word."""
    domain = xen.domain(domid) if domid else None
    if domain is None:
        return "gone"
    if domain.dying:
        return "dying"
    if domain.shutdown_reason is not None:
        return "suspended" if domain.shutdown_reason == 2 else f"shut down ({int(domain.shutdown_reason)})"
    return "paused" if domain.paused else "running"


def left(xen: Xen, store: Store, place: Path) -> list[str]:
    """Return what an operation that has ended has no right to leave behind."""
    found = []
    living = {domain.domid for domain in xen.domains()}
    for path in (*JOURNALS.parent.iterdir(), *JOURNALS.glob("*")):
        if path != JOURNALS and not re.match(r"dump$|xenpaging$|userdata-d\.", path.name):
            found.append(str(path))
    with contextlib.suppress(OSError):
        found += [str(path) for path in place.iterdir() if path.name != "checkpoint"]
    monitors = 0
    for pid, line in sorted(processes().items()):
        qemu = re.search(r"-xen-domid (\d+) ", line)
        if re.search(r"--(save|restore)-domain|(pyxl|xl) save ", line) or (qemu and int(qemu[1]) not in living):
            found.append(f"process {pid}: {line[:60]}")
        monitors += bool(re.search(r"(pyxl|xl) (restore|create) ", line))
    if monitors > len(living) - 1:
        found.append(f"{monitors} monitors for {len(living) - 1} guests")
    for root in ("/local/domain", "/local/domain/0/device-model", "/libxl"):
        found += [f"xenstore {root}/{name}" for name in store.children(root) if int(name) not in living]
    for domid in sorted(living - {0}):
        if not store.read(f"/local/domain/{domid}/name"):
            found.append(f"domain {domid} without a name")
        if store.read(f"/local/domain/{domid}/control/shutdown"):
            found.append(f"a request to domain {domid} to suspend")
    return found


def log_dirty_on(name: str) -> bool:
    """Tell whether a device model that was traced reports the pages that it writes."""
    try:
        text = Path(f"/var/log/xen/qemu-dm-{name}.log").read_text(errors="replace")
    except OSError:
        return False
    marks = re.findall(r"global_dirty_changed bitmask 0x(\w+)", text)
    return bool(marks) and int(marks[-1], 16) != 0


def look(trial: Trial, settle: float, may_be: tuple[str, ...]) -> dict[str, Any]:
    """Wait until nothing is left and the guest is in one of these states, ``settle`` seconds at most; say how it is."""
    end = time.monotonic() + settle
    while True:
        name = trial.guest if trial.verb != "create" else "created"
        domid = trial._domid_of(name)
        state = state_of(trial.xen, domid)
        remains = left(trial.xen, trial.store, trial.place)
        if log_dirty_on(name) and domid:
            remains.append("log-dirty on")
        if (not remains and state in may_be) or time.monotonic() > end:
            break
        time.sleep(0.2)
    file = "none"
    if trial.verb == "save" and trial.target.is_file():
        file = "old" if trial.target.read_bytes()[:100] == OLD else "new"
    return {"guest": state, "left": remains, "file": file, "settled": round(time.monotonic() - end + settle, 1)}


def main() -> None:
    spec = json.loads(sys.argv[1])
    for mounted in (HOME / "place", HOME / "failing" / "place"):
        while os.path.ismount(mounted):
            subprocess.run(["umount", mounted], check=True)
    trial = Trial(spec)
    try:
        result = trial.run(spec["limit"])
    except TimeoutError as error:
        for step in reversed(trial.mend):
            step()
        trial.process.wait()
        result = {"status": trial.process.returncode, "said": str(error), "struck": "", "seconds": 0}
    recovered = ""
    if spec["recover"]:
        done = subprocess.run(["pyxl", "recover"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        recovered = done.stdout.decode(errors="replace")
    print(json.dumps({**result, "recovered": recovered, "target": str(trial.target),
                      **look(trial, spec["settle"], tuple(spec["may_be"]))}))  # fmt: skip
    sys.stdout.flush()
    os._exit(0)


main()
