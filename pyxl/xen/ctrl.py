"""libxenctrl: what the hypervisor knows of domains, and the few calls that need no libxl (xen-spec.md 6.2).

xc_domain_resume is libxenguest's, with libxenctrl's handle.
"""

import ctypes
from typing import TYPE_CHECKING

from pyxl.model.domain import DomainInfo, ShutdownReason, Vcpu
from pyxl.xen import lib
from pyxl.xen.info import Interface, RawInfo

if TYPE_CHECKING:
    from pyxl.xen.topology import Topology

_PAUSED, _BLOCKED, _RUNNING, _DEBUGGED = 8, 16, 32, 64
_PAGE_KB = 4
_SUSPEND_CANCELLED = 1
_SHADOW_OP_OFF = 0
_BATCH = 256
_XENVER_COMMANDLINE = 9
_COMMAND_LINE_BYTES = 1024


def _decode(raw: RawInfo) -> DomainInfo:
    flags = raw.flags
    reason: ShutdownReason | int | None = None
    if raw.shut_down:
        reason = flags >> 16 & 0xFF
        if reason in ShutdownReason._value2member_map_:
            reason = ShutdownReason(reason)
    return DomainInfo(
        domid=raw.domid, uuid=raw.uuid, hvm=raw.hvm,
        running=bool(flags & _RUNNING), blocked=bool(flags & _BLOCKED), paused=bool(flags & _PAUSED),
        dying=raw.dying, shutdown_reason=reason,
        memory_kb=(raw.tot_pages + raw.outstanding) * _PAGE_KB,
        # Toolstacks that set no limit leave all ones.
        max_memory_kb=min(raw.max_pages * _PAGE_KB, 1 << 62), vcpus=raw.nr_online_vcpus, cpu_time=raw.cpu_time,
        pool=raw.cpupool, debugged=bool(flags & _DEBUGGED),
    )  # fmt: skip


class Control(Interface):
    """An open libxenctrl handle, and all that pyxl asks through it.

    :raise NotOnXen: this machine does not run Xen, or this is not its control domain.
    """

    def __init__(self) -> None:
        super().__init__()
        library, h, domid = lib.load("xenctrl"), ctypes.c_void_p, ctypes.c_uint32
        self._close = lib.declare(library, ctypes.c_int, "xc_interface_close", h)
        self._shutdown = lib.declare(library, ctypes.c_int, "xc_domain_shutdown", h, domid, ctypes.c_int)
        self._param = lib.declare(
            library, ctypes.c_int, "xc_hvm_param_get", h, domid, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint64)
        )

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._handle)

    def domain(self, domid: int) -> DomainInfo | None:
        """Return what the hypervisor knows of ``domid``, None when there is no such domain."""
        raw = self.info(domid)
        return None if raw is None else _decode(raw)

    def domains(self) -> list[DomainInfo]:
        """Return every domain of this host, dom0 first."""
        result: list[DomainInfo] = []
        raw = (RawInfo * _BATCH)()
        first = 0
        while True:
            found = lib.check(self._list(self._handle, first, _BATCH, raw), "xc_domain_getinfolist")
            result += [_decode(entry) for entry in raw[:found]]
            if found < _BATCH:
                return result
            first = raw[found - 1].domid + 1

    def shutdown(self, domid: int, reason: ShutdownReason) -> None:
        """Shut a domain down from outside, without its help."""
        lib.check(self._shutdown(self._handle, domid, reason), "xc_domain_shutdown", domid)

    def set_uuid(self, domid: int, uuid: str) -> None:
        """Give a domain another uuid."""
        function = lib.declare(
            lib.load("xenctrl"), ctypes.c_int, "xc_domain_sethandle", ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
        )
        handle = bytes.fromhex(uuid.replace("-", ""))
        lib.check(function(self._handle, domid, handle), "xc_domain_sethandle", domid)

    def resume(self, domid: int) -> None:
        """Let a suspended domain's vcpus go on; its suspend call returns as cancelled."""
        function = lib.declare(
            lib.load("xenguest"), ctypes.c_int, "xc_domain_resume", ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
        )
        lib.check(function(self._handle, domid, _SUSPEND_CANCELLED), "xc_domain_resume", domid)

    def log_dirty_off(self, domid: int) -> None:
        """Have Xen no longer track which pages a domain writes; harmless where it does not."""
        function = lib.declare(
            lib.load("xenctrl"), ctypes.c_int, "xc_shadow_control",
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint, ctypes.POINTER(ctypes.c_uint), ctypes.c_uint,
        )  # fmt: skip
        lib.check(function(self._handle, domid, _SHADOW_OP_OFF, None, 0), "xc_shadow_control", domid)

    def command_line(self) -> str:
        """Return the options that Xen was booted with."""
        function = lib.declare(
            lib.load("xenctrl"), ctypes.c_int, "xc_version", ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
        )
        text = ctypes.create_string_buffer(_COMMAND_LINE_BYTES)
        lib.check(function(self._handle, _XENVER_COMMANDLINE, text), "xc_version")
        return text.value.decode(errors="replace")

    def hvm_param(self, domid: int, index: int) -> int:
        """Return one HVM param.

        :raise XenError: no such domain, or not an HVM one.
        """
        value = ctypes.c_uint64()
        lib.check(self._param(self._handle, domid, index, ctypes.byref(value)), "xc_hvm_param_get", domid)
        return value.value

    def unpopulated_kb(self, domid: int) -> int:
        """Return how much memory a guest will have beyond what it has, in KiB, once it is populated on demand."""
        total, cache, entries = (ctypes.c_uint64() for _ in range(3))
        numbers = ctypes.POINTER(ctypes.c_uint64)
        function = lib.declare(
            lib.load("xenctrl"), ctypes.c_int, "xc_domain_get_pod_target",
            ctypes.c_void_p, ctypes.c_uint32, numbers, numbers, numbers,
        )  # fmt: skip
        result = function(self._handle, domid, *map(ctypes.byref, (total, cache, entries)))
        lib.check(result, "xc_domain_get_pod_target", domid)
        return max(0, entries.value - cache.value) * _PAGE_KB

    def pins(self, domid: int, vcpus: int) -> list[list[int]]:
        """Return the CPUs that each vcpu may run on (its hard affinity); nothing where all may run on all."""
        from pyxl.xen import cpu  # only a save asks

        return cpu.pins(self._handle, domid, vcpus)

    def cpu_nodes(self) -> list[int]:
        """Return the NUMA node of each CPU."""
        return [cpu.node for cpu in self.topology.cpus()]

    @property
    def topology(self) -> "Topology":
        """Where CPUs, memory, PCI devices and vcpus are."""
        from pyxl.xen.topology import Topology  # few commands ask

        return Topology(self._handle)

    def vcpus(self, domid: int) -> list[Vcpu]:
        """Return what Xen knows of a domain's vcpus, also of those that are offline."""
        raw = self.info(domid)
        return [] if raw is None else self.topology.vcpus(domid, raw.max_vcpu_id + 1)

    def max_cpu_policy(self, hvm: bool) -> tuple[bytes, bytes]:
        """Return the most that a guest may have of this host's processor: CPUID leaves and MSRs (pyxl.xen.cpu)."""
        from pyxl.xen import cpu  # only a restore asks

        return cpu.max_policy(self._handle, hvm)
