"""What a domain is, in Xen's words."""

from enum import Enum, IntEnum
from typing import NamedTuple


class ShutdownReason(IntEnum):
    """Why a domain shut down (xen/include/public/sched.h)."""

    POWEROFF = 0
    REBOOT = 1
    SUSPEND = 2
    CRASH = 3
    WATCHDOG = 4
    SOFT_RESET = 5


class DomainType(Enum):
    """How a domain runs, by the name that libxl and xl.cfg use."""

    HVM = "hvm"
    PVH = "pvh"
    PV = "pv"


class DomainInfo(NamedTuple):
    """What the hypervisor knows of one domain at one moment.

    Memory is in KiB, ``cpu_time`` in nanoseconds over all vcpus. ``shutdown_reason`` is None while it runs, and a bare
    number for a reason that has no name here. ``pool`` is the number of its cpupool; ``debugged`` says that a debugger
    is attached.
    """

    domid: int
    uuid: str
    hvm: bool
    running: bool
    blocked: bool
    paused: bool
    dying: bool
    shutdown_reason: ShutdownReason | int | None
    memory_kb: int
    max_memory_kb: int
    vcpus: int
    cpu_time: int
    pool: int = 0
    debugged: bool = False

    @property
    def suspended(self) -> bool:
        return self.shutdown_reason == ShutdownReason.SUSPEND


class Vcpu(NamedTuple):
    """What the hypervisor knows of one vcpu at one moment.

    ``cpu`` is the CPU that it runs on or ran on last; ``cpu_time`` is in nanoseconds. ``hard`` has the CPUs that it may
    run on, ``soft`` those that it prefers.
    """

    number: int
    online: bool
    blocked: bool
    running: bool
    cpu_time: int
    cpu: int
    hard: list[int]
    soft: list[int]


class Trigger(IntEnum):
    """What can be done to a domain from outside, by libxl's numbers."""

    POWER = 1
    SLEEP = 2
    NMI = 3
    INIT = 4
    RESET = 5
    S3RESUME = 6
