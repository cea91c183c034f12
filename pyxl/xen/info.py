"""libxenctrl's handle, and its structure of what the hypervisor knows of one domain.

Imports ctypes and nothing else of weight: the monitor of each guest keeps this in memory.
"""

import ctypes

from pyxl.xen import lib

_DYING, _HVM, _SHUTDOWN = 1, 2, 4
_XTL_CRITICAL = 9


class RawInfo(ctypes.Structure):
    """xen_domctl_getdomaininfo, 112 bytes, the same from Xen 4.17 to 4.22."""

    _fields_ = (
        ("domid", ctypes.c_uint16), ("flags", ctypes.c_uint32), ("tot_pages", ctypes.c_uint64),
        ("max_pages", ctypes.c_uint64), ("outstanding", ctypes.c_uint64), ("shr_pages", ctypes.c_uint64),
        ("paged_pages", ctypes.c_uint64), ("shared_info_frame", ctypes.c_uint64), ("cpu_time", ctypes.c_uint64),
        ("nr_online_vcpus", ctypes.c_uint32), ("max_vcpu_id", ctypes.c_uint32), ("ssidref", ctypes.c_uint32),
        ("handle", ctypes.c_uint8 * 16), ("cpupool", ctypes.c_uint32), ("gpaddr_bits", ctypes.c_uint8),
        ("arch_config", ctypes.c_uint64),
    )  # fmt: skip

    @property
    def dying(self) -> bool:
        return bool(self.flags & _DYING)

    @property
    def hvm(self) -> bool:
        """Tell whether it is an HVM or PVH domain."""
        return bool(self.flags & _HVM)

    @property
    def shut_down(self) -> bool:
        """Tell whether it runs no more, for whatever reason; a suspended domain is shut down, too."""
        return bool(self.flags & _SHUTDOWN)

    @property
    def uuid(self) -> str:
        """The handle, written as UUIDs are; the uuid module would cost every command its import."""
        text = bytes(self.handle).hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Interface:
    """An open libxenctrl handle.

    :raise NotOnXen: this machine does not run Xen, or this is not its control domain.
    """

    def __init__(self) -> None:
        library = lib.load("xenctrl")
        logs = lib.load("xentoollog")
        libc = ctypes.CDLL(None)
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        # libxenctrl's own lines would appear beside pyxl's errors, which say the same and name the domain.
        make = lib.declare(
            logs, ctypes.c_void_p, "xtl_createlogger_stdiostream", ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
        )
        opener = lib.declare(
            library, ctypes.c_void_p, "xc_interface_open", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint
        )
        logger = make(stderr, _XTL_CRITICAL, 0)
        self._handle = opener(logger, logger, 0)
        if not self._handle:
            raise lib.NotOnXen(f"cannot reach the hypervisor ({lib.failed('xc_interface_open')})")
        h, domid = ctypes.c_void_p, ctypes.c_uint32
        self._list = lib.declare(
            library, ctypes.c_int, "xc_domain_getinfolist", h, domid, ctypes.c_uint, ctypes.POINTER(RawInfo)
        )

    def info(self, domid: int) -> RawInfo | None:
        """Return what the hypervisor knows of ``domid``, None when there is no such domain."""
        raw = RawInfo()
        found = lib.check(self._list(self._handle, domid, 1, ctypes.byref(raw)), "xc_domain_getinfolist", domid)
        # The hypervisor answers with the first domain at or above the one asked for.
        return raw if found == 1 and raw.domid == domid else None
