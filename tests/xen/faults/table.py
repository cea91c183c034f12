"""The table of faults: in which operation, at what moment, what goes wrong.

Knows no lab and no process.  A moment is the name of a phase of pyxl's (pyxl.model.phases) that has just begun, a share
of the stream that is written or read, "start", or "random"; for stock xl it is the nearest moment that can be seen from
outside.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    ``what`` is one of in_dom0.py's FAULTS; ``monitor`` tells whether the guest has a monitor of the tool that is on
    trial, which may heal it; else only `pyxl recover` may.
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
        """Whether the operation's own process has no chance to undo anything."""
        return self.what == "SIGKILL"

    @property
    def needs_recover(self) -> bool:
        """Whether what is owed waits for `pyxl recover`: no monitor knows of it, or no disk was there to undo it on."""
        killed_alone = self.killed and not (self.operation.startswith("save") and self.monitor)
        return killed_alone or self.what in ("disk fails", "disk becomes read-only")

    @property
    def guest_ends(self) -> bool:
        """Whether the guest itself comes to an end, which no toolstack can undo."""
        return self.what in GUEST_ENDS

    @property
    def deaf(self) -> bool:
        """Whether the guest lost its device model for good: it runs on, but has no console to say so."""
        return self.what == "qemu killed" and self.operation.startswith("save")


#: The guest crashes, ends or is ended: what has to hold is that the old file stands and nothing is left.
GUEST_ENDS = frozenset({
    "guest panics", "guest crashes unasked", "guest reboots unasked", "guest powers off unasked",
    "guest crashes instead of suspending", "guest reboots instead of suspending",
    "guest powers off instead of suspending", "domain destroyed",
})

SAVE = (
    "PREFLIGHT", "OPEN_FILE", "CONFIG", "LOG_DIRTY", "SUSPEND", "DEVICE_MODEL", "MEMORY", "DEVICE_MODEL_STATE", "COMMIT",
    "SETTLE",
)
RESTORE = ("OPEN", "BUILD", "CHECKSUMS", "MONITOR", "UNPAUSE")
CREATE = ("BUILD", "MONITOR", "UNPAUSE")


def _rows(operation: str, moments: tuple[str, ...], *whats: str) -> Iterator[Fault]:
    """Yield a fault for each moment and each thing that goes wrong."""
    return (Fault(operation, when, what) for what in whats for when in moments)


FAULTS: tuple[Fault, ...] = (
    # Signals at every phase boundary, at shares of the stream, and at random times.
    *_rows("save", SAVE, "Ctrl-C", "SIGKILL"),
    *_rows("save", ("SUSPEND", "MEMORY", "COMMIT"), "SIGTERM", "SIGHUP", "Ctrl-C twice"),
    *_rows("save", ("random 1", "random 2", "random 3"), "Ctrl-C", "SIGTERM", "SIGKILL"),
    *_rows("save -c", ("SUSPEND", "50 %", "SETTLE"), "Ctrl-C", "SIGKILL"),
    *_rows("save -p", ("SUSPEND", "50 %", "SETTLE"), "Ctrl-C", "SIGKILL"),
    Fault("save", "SUSPEND", "SIGKILL", monitor=False),
    Fault("save", "MEMORY", "SIGKILL", monitor=False),
    Fault("save", "COMMIT", "SIGKILL", monitor=False),
    *_rows("restore", RESTORE, "Ctrl-C", "SIGKILL"),
    *_rows("restore", ("BUILD", "50 %"), "SIGTERM", "SIGHUP", "Ctrl-C twice"),
    *_rows("restore", ("random 1", "random 2"), "Ctrl-C", "SIGKILL"),
    *_rows("create", CREATE, "Ctrl-C", "SIGKILL"),
    *_rows("create", ("random 1",), "SIGTERM"),
    # Processes that are killed, told to end, or stand still.
    *_rows("save", ("CONFIG", "10 %", "90 %"), "helper killed"),
    *_rows("save", ("50 %",), "helper told to end", "helper stopped, then Ctrl-C", "helper stopped for 5 s"),
    *_rows("restore", ("50 %",), "helper killed", "helper told to end", "helper stopped, then Ctrl-C"),
    *_rows("save", ("start", "LOG_DIRTY", "SUSPEND", "DEVICE_MODEL", "MEMORY"), "qemu killed"),
    *_rows("save", ("start", "LOG_DIRTY", "SUSPEND", "MEMORY"), "qemu stopped"),
    *_rows("save", ("SUSPEND",), "qemu stopped for 5 s"),
    *_rows("restore", ("MONITOR",), "qemu killed"),
    *_rows("create", ("BUILD",), "qemu killed"),
    # xenstored.
    *_rows("save", ("OPEN_FILE", "SUSPEND", "MEMORY", "SETTLE"), "xenstored stopped for 15 s"),
    *_rows("restore", ("BUILD", "50 %"), "xenstored stopped for 15 s"),
    *_rows("create", ("BUILD",), "xenstored stopped for 15 s"),
    *_rows("save", ("OPEN_FILE", "50 %"), "xenstored updated"),
    *_rows("restore", ("50 %",), "xenstored updated"),
    # Disks.
    *_rows("save", ("CONFIG", "10 %", "90 %", "COMMIT"), "disk full"),
    *_rows("save -c", ("50 %",), "disk full", "disk fails"),
    *_rows("save", ("CONFIG", "50 %", "COMMIT"), "disk fails"),
    *_rows("save", ("50 %",), "disk becomes read-only", "disk frozen for 5 s", "quota used up", "file size limit"),
    *_rows("save", ("start",), "no descriptors left", "directory not writable"),
    *_rows("save", ("50 %",), "directory renamed", "new file removed", "target becomes a directory"),
    *_rows("restore", ("BUILD", "50 %"), "disk fails"),
    # Guests.
    *_rows("save", ("OPEN_FILE",), "guest does not acknowledge", "guest acknowledges, never suspends"),
    *_rows("save", ("OPEN_FILE",), "guest crashes instead of suspending", "guest reboots instead of suspending",
           "guest powers off instead of suspending", "guest panics"),
    *_rows("save", ("SUSPEND",), "guest crashes unasked", "guest reboots unasked", "guest powers off unasked"),
    *_rows("save", ("OPEN_FILE", "SUSPEND", "50 %", "COMMIT"), "domain destroyed"),
    *_rows("restore", ("50 %", "MONITOR"), "domain destroyed"),
    *_rows("create", ("BUILD",), "domain destroyed"),
    # The file of a restore.
    *_rows("restore", ("BUILD", "50 %"), "file cut", "file overwritten", "file removed"),
    # What a domain is made of.
    *_rows("create", ("start",), "device model that fails", "kernel missing", "bridge missing"),
)

#: One or two of each kind: what `make test` runs.
SLICE = (
    "save | MEMORY | Ctrl-C",
    "save | SUSPEND | Ctrl-C twice",
    "save -c | 50 % | SIGKILL",
    "save | MEMORY | SIGKILL, no monitor",
    "restore | BUILD | SIGKILL",
    "create | BUILD | Ctrl-C",
    "save | 90 % | helper killed",
    "save | SUSPEND | qemu stopped for 5 s",
    "save | SUSPEND | xenstored stopped for 15 s",
    "save | 90 % | disk full",
    "save | 50 % | disk fails",
    "save | OPEN_FILE | guest crashes instead of suspending",
    "save | 50 % | domain destroyed",
    "restore | 50 % | file overwritten",
)


def chosen(pattern: str) -> list[Fault]:
    """Return the faults whose name a regular expression finds."""
    return [fault for fault in FAULTS if re.search(pattern, fault.name)]
