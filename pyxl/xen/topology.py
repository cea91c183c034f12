"""Where things are on this host, by libxenctrl: CPUs, the memory of NUMA nodes, PCI devices, a domain's vcpus.

Its structures are Xen's own, which are the same from 4.17 to 4.22; libxl's of the same names change.
"""

import ctypes
from typing import NamedTuple

from pyxl.model.domain import Vcpu
from pyxl.xen import lib

#: What Xen says where it does not know, or where there is nothing: a core, a socket, a node; a distance; a size.
UNKNOWN = 0xFFFFFFFF
_NO_SIZE = 0xFFFFFFFFFFFFFFFF
#: XEN_INVALID_DEV: there is no such PCI device.
_NO_DEVICE = UNKNOWN - 1
_HARD, _SOFT = 1, 2


class CpuTopology(ctypes.Structure):
    """xen_sysctl_cputopo."""

    _fields_ = (("core", ctypes.c_uint32), ("socket", ctypes.c_uint32), ("node", ctypes.c_uint32))


class MemoryInfo(ctypes.Structure):
    """xen_sysctl_meminfo."""

    _fields_ = (("size", ctypes.c_uint64), ("free", ctypes.c_uint64))


class PciDevice(ctypes.Structure):
    """physdev_pci_device."""

    _fields_ = (("segment", ctypes.c_uint16), ("bus", ctypes.c_uint8), ("devfn", ctypes.c_uint8))


class PoolInfo(ctypes.Structure):
    """xc_cpupoolinfo_t; ``cpus`` has as many bits as there are CPUs."""

    _fields_ = (
        ("pool", ctypes.c_uint32), ("scheduler", ctypes.c_uint32), ("domains", ctypes.c_uint32),
        ("cpus", ctypes.POINTER(ctypes.c_uint8)),
    )  # fmt: skip


class VcpuInfo(ctypes.Structure):
    """xen_domctl_getvcpuinfo."""

    _fields_ = (
        ("vcpu", ctypes.c_uint32), ("online", ctypes.c_uint8), ("blocked", ctypes.c_uint8),
        ("running", ctypes.c_uint8), ("cpu_time", ctypes.c_uint64), ("cpu", ctypes.c_uint32),
    )  # fmt: skip


class Cpu(NamedTuple):
    """Where a CPU is; UNKNOWN in each where Xen does not say."""

    core: int
    socket: int
    node: int


class Node(NamedTuple):
    """The memory of a NUMA node, in bytes, and how far each node is from it."""

    number: int
    size: int
    free: int
    distances: list[int]


class Topology:
    """Answers by ``handle``, libxenctrl's; every call may raise XenError."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._library = lib.load("xenctrl")

    def cpus(self) -> list[Cpu]:
        """Return where each CPU is."""
        count = ctypes.c_uint(self.cpu_count())
        found = (CpuTopology * count.value)()
        self._call("xc_cputopoinfo", ctypes.byref(count), found)
        return [Cpu(cpu.core, cpu.socket, cpu.node) for cpu in found[: count.value]]

    def nodes(self) -> list[Node]:
        """Return each NUMA node that has memory."""
        count = ctypes.c_uint()
        self._call("xc_numainfo", ctypes.byref(count), None, None)
        memory = (MemoryInfo * count.value)()
        far = (ctypes.c_uint32 * count.value**2)()
        self._call("xc_numainfo", ctypes.byref(count), memory, far)
        return [
            Node(number, node.size, node.free, far[number * count.value : (number + 1) * count.value])
            for number, node in enumerate(memory[: count.value])
            if node.size != _NO_SIZE
        ]

    def pci_nodes(self, devices: list[tuple[int, int, int]]) -> list[int]:
        """Return the node of each PCI device, given by segment, bus and devfn; UNKNOWN where it has none."""
        asked = (PciDevice * len(devices))(*(PciDevice(*device) for device in devices))
        found = (ctypes.c_uint32 * len(devices))()
        self._call("xc_pcitopoinfo", ctypes.c_uint(len(devices)), asked, found)
        return [UNKNOWN if node == _NO_DEVICE else node for node in found]

    def vcpus(self, domid: int, count: int) -> list[Vcpu]:
        """Return what Xen knows of a domain's vcpus 0 to ``count`` - 1, but for those that it does not have."""
        return [vcpu for number in range(count) if (vcpu := self._vcpu(domid, number)) is not None]

    def node_affinity(self, domid: int) -> list[int]:
        """Return the NUMA nodes that a domain's memory is to come from."""
        bits = ctypes.create_string_buffer(self._call("xc_get_nodemap_size"))
        self._call("xc_domain_node_getaffinity", ctypes.c_uint32(domid), bits, domid=domid)
        return _numbers(bits.raw)

    def pool_cpus(self, pool: int) -> list[int]:
        """Return the CPUs of the cpupool with this number; none where there is no such pool (xc_cpupool_getinfo)."""
        ask = lib.declare(
            self._library, ctypes.POINTER(PoolInfo), "xc_cpupool_getinfo", ctypes.c_void_p, ctypes.c_uint32
        )
        free = lib.declare(
            self._library, None, "xc_cpupool_infofree", ctypes.c_void_p, ctypes.POINTER(PoolInfo)
        )
        size = self._call("xc_get_cpumap_size")
        if not (info := ask(self._handle, pool)):
            return []
        try:  # of the next pool, where there is none with this number
            return _numbers(bytes(info[0].cpus[:size])) if info[0].pool == pool else []
        finally:
            free(self._handle, info)

    def cpu_count(self) -> int:
        """Return the highest number of a CPU, plus 1."""
        return self._call("xc_get_max_cpus")

    def _vcpu(self, domid: int, number: int) -> Vcpu | None:
        info, whose, which = VcpuInfo(), ctypes.c_uint32(domid), ctypes.c_uint32(number)
        function = lib.declare(
            self._library, ctypes.c_int, "xc_vcpu_getinfo", ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32,
            ctypes.POINTER(VcpuInfo),
        )  # fmt: skip
        if function(self._handle, whose, which, info) < 0:  # it has not been made, or its domain has just gone
            return None
        size = self._call("xc_get_cpumap_size")
        hard, soft = ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)
        flags = ctypes.c_uint32(_HARD | _SOFT)
        self._call("xc_vcpu_getaffinity", whose, ctypes.c_int(number), hard, soft, flags, domid=domid)
        return Vcpu(
            number, bool(info.online), bool(info.blocked), bool(info.running), info.cpu_time, info.cpu,
            _numbers(hard.raw), _numbers(soft.raw),
        )  # fmt: skip

    def _call(self, name: str, *arguments: object, domid: int | None = None) -> int:
        types = [type(argument) if isinstance(argument, _NUMBERS) else ctypes.c_void_p for argument in arguments]
        function = lib.declare(self._library, ctypes.c_int, name, ctypes.c_void_p, *types)
        return lib.check(function(self._handle, *arguments), name, domid)


_NUMBERS = (ctypes.c_uint, ctypes.c_int)


def _numbers(bits: bytes) -> list[int]:
    """Return which bits are set."""
    return [number for number in range(8 * len(bits)) if bits[number // 8] >> number % 8 & 1]
