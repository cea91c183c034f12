"""The table of faults: in which operation, at what moment, what goes wrong.

Knows no lab and no process.  A moment is the start of a phase of pyxl's (pyxl.model.phases), or some ms after that
("BUILD + 30 ms"), the share of the stream that is written or read, "start", or "random"; for stock xl it is the
nearest moment that can be seen from outside.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    ``what`` is one of FAULTS in dom0/injectors.py.  With ``monitor`` the guest has a monitor of the tested tool, which
    may heal it; else only `pyxl recover` may.
    """

    operation: str
    when: str
    what: str
    monitor: bool = True

    @property
    def name(self) -> str:
        return f"{self.operation} | {self.when} | {self.what}" + ("" if self.monitor else ", no monitor")

    @property
    def killed(self) -> bool:
        """Tell whether the operation's process has no chance to undo anything."""
        return self.what == "SIGKILL"

    @property
    def needs_recover(self) -> bool:
        """Tell whether only `pyxl recover` can do what is owed: no monitor knows of it, or the disk had failed."""
        killed_alone = self.killed and not (self.is_save and self.monitor)
        return killed_alone or self.what in ("disk fails", "disk becomes read-only")

    @property
    def is_xl_s(self) -> bool:
        """Tell whether stock xl has such an operation."""
        return "--live" not in self.operation and not self.operation.startswith("checkpoint")

    @property
    def is_save(self) -> bool:
        """Tell whether the guest runs when the operation begins."""
        return self.operation.startswith(("save", "checkpoint"))

    @property
    def guest_ends(self) -> bool:
        """Tell whether the guest itself ends, which no toolstack can undo."""
        return self.what in GUEST_ENDS

    @property
    def deaf(self) -> bool:
        """Tell whether the guest loses its device model: it runs on, but without a console to show it."""
        return self.what == "qemu killed" and self.is_save

    @property
    def harmless(self) -> bool:
        """Tell whether the operation has to succeed all the same."""
        return self.what in HARMLESS

    @property
    def spoils(self) -> bool:
        """Tell whether the file is no longer what was saved, so that no guest may run from it."""
        return self.what in ("file cut", "file overwritten")


#: The guest crashes, ends or is destroyed: the old file must stay, and nothing may be left behind.
GUEST_ENDS = frozenset({
    "guest panics", "guest crashes instead of suspending", "guest reboots instead of suspending", "domain destroyed",
})

#: Nothing that a guest needs may depend on these.
HARMLESS = frozenset({
    "few descriptors", "log directory full", "log directory gone", "log directory read-only", "stderr closed",
    "stderr full", "working directory gone",
})

#: Of a live save, that only pyxl has.
LIVE = ("PRECOPY", "SUSPEND", "DEVICE_MODEL", "MEMORY", "DEVICE_MODEL_STATE")
SAVE = (
    "PREFLIGHT", "OPEN_FILE", "CONFIG", "SUSPEND", "DEVICE_MODEL", "MEMORY", "DEVICE_MODEL_STATE", "COMMIT", "SETTLE",
)
RESTORE = ("BUILD", "CHECKSUMS", "MONITOR", "UNPAUSE")
CREATE = ("BUILD", "UNPAUSE")


def _rows(operation: str, moments: tuple[str, ...], *whats: str) -> Iterator[Fault]:
    """Yield a fault for each pair of ``whats`` and ``moments``."""
    return (Fault(operation, when, what) for what in whats for when in moments)


FAULTS: tuple[Fault, ...] = (
    # Signals at every phase boundary, at shares of the stream, and at random times.
    *_rows("save", SAVE, "Ctrl-C", "SIGKILL"),
    *_rows("save", ("SUSPEND",), "SIGTERM", "Ctrl-C twice"),
    *_rows("save", ("MEMORY",), "SIGHUP"),
    *_rows("save", ("random",), "SIGTERM", "SIGKILL"),
    *_rows("save -c", ("50 %",), "Ctrl-C"),
    *_rows("save -c", ("SUSPEND", "SETTLE"), "SIGKILL"),
    *_rows("save -p", ("50 %",), "Ctrl-C"),
    *_rows("save -p", ("SETTLE",), "SIGKILL"),
    *_rows("save --live -c", LIVE, "Ctrl-C", "SIGKILL"),
    *_rows("save --live", ("SUSPEND", "COMMIT"), "SIGKILL"),
    Fault("save --live -c", "PRECOPY", "SIGKILL", monitor=False),
    Fault("save", "MEMORY", "SIGKILL", monitor=False),
    Fault("save", "COMMIT", "SIGKILL", monitor=False),
    *_rows("restore", RESTORE, "Ctrl-C", "SIGKILL"),
    *_rows("restore", ("50 %",), "Ctrl-C", "SIGTERM"),
    *_rows("restore", ("BUILD + 15 ms", "BUILD + 30 ms"), "Ctrl-C"),
    *_rows("create", CREATE, "Ctrl-C", "SIGKILL"),
    # Checkpoints of a guest that runs on, in a repository.
    *_rows("checkpoint", ("OPEN_FILE", "COMMIT", *LIVE), "Ctrl-C", "SIGKILL"),
    *_rows("checkpoint", ("SETTLE",), "SIGKILL"),
    *_rows("checkpoint", ("random",), "SIGTERM", "SIGKILL"),
    Fault("checkpoint", "MEMORY", "SIGKILL", monitor=False),
    Fault("checkpoint", "COMMIT", "SIGKILL", monitor=False),
    *_rows("checkpoint --full", ("PRECOPY",), "helper killed", "disk full", "disk fails", "helper stopped, then Ctrl-C"),
    *_rows("checkpoint --full", ("COMMIT",), "disk fails", "disk becomes read-only", "disk full"),
    *_rows("checkpoint", ("SUSPEND",), "qemu stopped", "xenstored stopped for 15 s"),
    *_rows("checkpoint", ("MEMORY",), "qemu killed"),
    *_rows("checkpoint", ("start",), "directory not writable", "few descriptors", "stderr full"),
    *_rows("checkpoint", ("OPEN_FILE",), "guest does not acknowledge", "guest crashes instead of suspending",
           "guest panics"),
    # Processes that are killed, told to end, or stopped.
    *_rows("save", ("50 %",), "helper killed", "helper stopped, then Ctrl-C"),
    *_rows("restore", ("50 %",), "helper killed", "helper stopped, then Ctrl-C"),
    *_rows("save --live -c", ("50 %",), "helper killed"),
    *_rows("save", ("MEMORY",), "qemu killed"),
    *_rows("save", ("SUSPEND",), "qemu stopped", "qemu stopped for 5 s"),
    *_rows("create", ("BUILD",), "qemu killed"),
    *_rows("save", ("SUSPEND",), "xenstored stopped for 15 s"),
    *_rows("restore", ("BUILD",), "xenstored stopped for 15 s"),
    *_rows("save", ("50 %",), "xenstored updated"),
    # Disks.
    *_rows("save", ("CONFIG", "90 %"), "disk full"),
    *_rows("save -c", ("50 %",), "disk full"),
    *_rows("save --live -c", ("90 %",), "disk full"),
    *_rows("save", ("50 %", "COMMIT"), "disk fails"),
    *_rows("save", ("50 %",), "disk becomes read-only", "directory renamed"),
    *_rows("save", ("start",), "file size limit", "directory not writable"),
    # What no guest may depend on.
    *_rows("save", ("start",), *sorted(HARMLESS)),
    # Guests.
    *_rows("save", ("OPEN_FILE",), "guest does not acknowledge", "guest acknowledges, never suspends",
           "guest crashes instead of suspending", "guest reboots instead of suspending", "guest panics"),
    *_rows("save", ("50 %",), "domain destroyed"),
    *_rows("restore", ("50 %",), "domain destroyed"),
    # The file of a restore, and the parts of a new domain.
    *_rows("restore", ("50 %",), "file cut", "file overwritten"),
    *_rows("create", ("start",), "device model that fails"),
)

#: Some of each kind, for `make test`.
SLICE = (
    "save | MEMORY | Ctrl-C",
    "save -c | SUSPEND | SIGKILL",
    "save --live -c | PRECOPY | SIGKILL, no monitor",
    "save | COMMIT | SIGKILL, no monitor",
    "checkpoint | MEMORY | SIGKILL, no monitor",
    "checkpoint --full | PRECOPY | disk full",
    "restore | BUILD | SIGKILL",
    "restore | 50 % | Ctrl-C",
    "create | BUILD | Ctrl-C",
    "save | 50 % | helper killed",
    "save | SUSPEND | qemu stopped for 5 s",
    "save | 50 % | disk fails",
    "save | OPEN_FILE | guest crashes instead of suspending",
    "restore | 50 % | file overwritten",
)


def chosen(pattern: str) -> list[Fault]:
    """Return the faults whose name matches a regular expression."""
    return [fault for fault in FAULTS if re.search(pattern, fault.name)]
