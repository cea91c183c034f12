"""The faults: each function does one to a trial."""

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pyxl.xen import lib
from tests.xen.faults.dom0.trial import Trial

INT, TERM, HUP, KILL, STOP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSTOP
REBOOT, CRASH = 1, 3


def _to_operation(t: Trial, *numbers: signal.Signals, group: bool = False) -> None:
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(t.process.pid, number)
        time.sleep(0.1 if len(numbers) > 1 else 0)


def _stop(t: Trial, pid: int, seconds: float = 0) -> None:
    """Stop a process for some seconds, or until the operation has ended."""
    os.kill(pid, STOP)
    if seconds:
        time.sleep(seconds)
        _continue(pid)
    else:
        t.mend.append(lambda: _continue(pid))


def _continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _stop_helper_then_interrupt(t: Trial) -> None:
    _stop(t, t.wait(t.helper))
    time.sleep(1)
    _to_operation(t, INT)


def _update_xenstored(_: Trial) -> None:
    major, minor = lib.xen_version()
    program = f"/usr/lib/xen-{major}.{minor}/bin/xenstored"
    subprocess.run(["xenstore-control", "live-update", "-t", "60", program], check=True, stdout=subprocess.DEVNULL)


def _fill_disk(t: Trial) -> None:
    with contextlib.suppress(OSError), (t.place / "other").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def _fail_disk(t: Trial) -> None:
    t.mend.append(t.disk.heal)
    t.disk.fail()


def _disk_read_only(t: Trial) -> None:
    t.mend.append(t.disk.heal)
    Path(f"/sys/fs/ext4/{t.disk.node}/trigger_fs_error").write_text("1")


def _limit_file_size(t: Trial) -> None:
    t.preexec = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))


def _limit_descriptors(t: Trial) -> None:
    t.preexec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def _lose_directory(t: Trial) -> None:
    gone = t.place / "gone"

    def enter() -> None:
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    t.preexec = enter


def _mount_logs(t: Trial, options: str, fill: bool = False) -> None:
    """Put a file system without anything in it in the place of the logs' directory."""
    logs = Path("/var/log")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", logs], check=True)
    t.mend.append(lambda: subprocess.run(["umount", "-l", logs], check=True))  # a monitor may have its log open
    if fill:
        (logs / "xen").mkdir()
        with contextlib.suppress(OSError), (logs / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))


def _stderr(t: Trial, path: str) -> None:
    """Give the operation another stderr; none where ``path`` is empty."""

    def replace() -> None:
        os.close(2)
        if path:
            os.open(path, os.O_WRONLY)

    t.preexec = replace


def _rename_directory(t: Trial) -> None:
    away = t.place.with_name("away")
    t.place.rename(away)
    t.mend.append(lambda: away.rename(t.place))


def _not_writable(t: Trial) -> None:
    """Mount the directory over itself, read only: mode bits do not stop root."""
    subprocess.run(["mount", "--bind", t.place, t.place], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", t.place], check=True)
    t.mend.append(lambda: subprocess.run(["umount", t.place], check=True))


def _mute(t: Trial) -> None:
    """Pause the guest, unknown to the operation, until that has ended."""
    t.xen.pause(t.domid)
    t.mend.append(lambda: t.xen.unpause(t.domid))


def _at_request(t: Trial, act: Callable[[str], object]) -> None:
    """Act in place of the guest when it is asked to suspend."""
    _mute(t)
    path = f"/local/domain/{t.domid}/control/shutdown"
    t.wait(lambda: t.store.read(path) == "suspend")
    act(path)


def _panic(t: Trial) -> None:
    console = os.open(t.store.read(f"/local/domain/{t.domid}/serial/0/tty"), os.O_RDWR | os.O_NOCTTY)
    t.mend.append(lambda: os.close(console))  # not now: the device model must see that the console is open
    os.write(console, b"\npanic\n")


def _destroy_domain(t: Trial) -> None:
    domid = t.domid or t.wait(t.new_domid)
    other = subprocess.Popen(["xl", "destroy", str(domid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.mend.append(other.wait)


def _spoil(t: Trial, spoil: Callable[[int], object]) -> None:
    """Stop the helper while ``spoil`` changes the file, from a place a little beyond what it has read."""
    helper = t.wait(t.helper)
    os.kill(helper, STOP)
    place = t.position() + (4 << 20)
    if place < t.target.stat().st_size - (2 << 20):
        spoil(place)
    _continue(helper)


def _overwrite(t: Trial, place: int) -> None:
    with t.target.open("r+b") as file:
        file.seek(place)
        file.write(b"\xa5" * (1 << 20))


def _stop_xenstored(t: Trial) -> None:
    _stop(t, int(Path("/run/xen/xenstored.pid").read_text()), 15)


def _nothing(_: Trial) -> None:
    """Do nothing: the command itself contains the fault."""


FAULTS: dict[str, Callable[[Trial], object]] = {
    "nothing": _nothing,
    "Ctrl-C": lambda t: _to_operation(t, INT, group=True),  # the whole foreground group gets it
    "Ctrl-C twice": lambda t: _to_operation(t, INT, INT, group=True),
    "SIGTERM": lambda t: _to_operation(t, TERM),
    "SIGHUP": lambda t: _to_operation(t, HUP, group=True),
    "SIGKILL": lambda t: _to_operation(t, KILL),
    "all killed": lambda t: _to_operation(t, KILL, group=True),
    "helper killed": lambda t: os.kill(t.wait(t.helper), KILL),
    "helper told to end": lambda t: os.kill(t.wait(t.helper), TERM),
    "helper stopped, then Ctrl-C": _stop_helper_then_interrupt,
    "qemu killed": lambda t: os.kill(t.wait(t.qemu), KILL),
    "qemu stopped": lambda t: _stop(t, t.wait(t.qemu)),
    "qemu stopped for 5 s": lambda t: _stop(t, t.wait(t.qemu), 5),
    "xenstored stopped for 15 s": _stop_xenstored,
    "xenstored updated": _update_xenstored,
    "disk full": _fill_disk,
    "disk fails": _fail_disk,
    "disk becomes read-only": _disk_read_only,
    "file size limit": _limit_file_size,
    "few descriptors": _limit_descriptors,
    "working directory gone": _lose_directory,
    "log directory gone": lambda t: _mount_logs(t, "size=64k"),
    "log directory read-only": lambda t: _mount_logs(t, "ro"),
    "log directory full": lambda t: _mount_logs(t, "size=16k", fill=True),
    "stderr closed": lambda t: _stderr(t, ""),
    "stderr full": lambda t: _stderr(t, "/dev/full"),
    "directory not writable": _not_writable,
    "directory renamed": _rename_directory,
    "guest does not acknowledge": _mute,
    "guest acknowledges, never suspends": lambda t: _at_request(t, lambda path: t.store.write(path, "")),
    "guest crashes instead of suspending": lambda t: _at_request(t, lambda _: t.xen.shut_down(t.domid, CRASH)),
    "guest reboots instead of suspending": lambda t: _at_request(t, lambda _: t.xen.shut_down(t.domid, REBOOT)),
    "guest panics": _panic,
    "domain destroyed": _destroy_domain,
    "file cut": lambda t: _spoil(t, lambda place: os.truncate(t.target, place)),
    "file overwritten": lambda t: _spoil(t, lambda place: _overwrite(t, place)),
    "device model that fails": _nothing,
}
