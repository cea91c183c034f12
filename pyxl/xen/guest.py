"""libxenguest: save and restore of a domain's memory and vcpus (xen-spec.md 6.1).

Only the save-helper calls these: they block for the length of the stream.
Imports ctypes, pyxl.xen.lib and pyxl.xen.info alone, for the helper's start-up.
"""

import ctypes

from pyxl.xen import lib
from pyxl.xen.info import RawInfo

#: The flag of a save that copies most of the memory while the domain runs (XCFLAGS_LIVE).
LIVE = 1
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
LOGDIRTY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32, ctypes.c_uint, ctypes.c_void_p)
STATIC_DATA = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class SaveCallbacks(ctypes.Structure):
    """struct save_callbacks, 56 bytes; a null pointer means "no such callback"."""

    _fields_ = (
        ("suspend", CALLBACK),
        ("precopy_policy", ctypes.c_void_p),  # null: libxc's own policy
        ("postcopy", CALLBACK),
        ("checkpoint", CALLBACK),
        ("wait_checkpoint", CALLBACK),
        ("switch_qemu_logdirty", LOGDIRTY),  # libxc asserts that HVM has one
        ("data", ctypes.c_void_p),
    )


class RestoreCallbacks(ctypes.Structure):
    """struct restore_callbacks, 56 bytes; restore_results is libxc's for COLO alone."""

    _fields_ = (
        ("static_data_done", STATIC_DATA),
        ("suspend", CALLBACK),
        ("postcopy", CALLBACK),
        ("checkpoint", CALLBACK),
        ("wait_checkpoint", CALLBACK),
        ("restore_results", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


class Logger(ctypes.Structure):
    """struct xentoollog_logger; ``progress`` may be null."""

    _fields_ = (("vmessage", lib.VMESSAGE), ("progress", lib.PROGRESS), ("destroy", ctypes.c_void_p))


class GuestLibrary:
    """libxenguest with ``handle``, libxenctrl's; ``logger`` must outlive it.

    :raise XenError: the libraries are missing, or there is no access to the hypervisor.
    """

    def __init__(self, logger: Logger) -> None:
        self._control = control = lib.load("xenctrl")
        self._guest = lib.load("xenguest")
        opener = lib.declare(
            control, ctypes.c_void_p, "xc_interface_open", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint
        )
        self.handle = opener(ctypes.byref(logger), ctypes.byref(logger), 0)
        if not self.handle:
            raise lib.failed("xc_interface_open")

    def host_pages(self) -> int:
        """Return the most pages that the host's memory can have; no guest and no table of pages has more.

        :raise XenError: the hypervisor does not say.
        """
        last = ctypes.c_ulong()
        function = lib.declare(
            self._control, ctypes.c_int, "xc_maximum_ram_page", ctypes.c_void_p, ctypes.POINTER(ctypes.c_ulong)
        )
        lib.check(function(self.handle, ctypes.byref(last)), "xc_maximum_ram_page")
        return last.value + 1

    def is_hvm(self, domid: int) -> bool:
        """Tell whether a domain is an HVM or PVH one.

        :raise XenError: Xen does not say.
        """
        info = RawInfo()
        function = lib.declare(
            self._control, ctypes.c_int, "xc_domain_getinfolist",
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint, ctypes.POINTER(RawInfo),
        )  # fmt: skip
        lib.check(function(self.handle, domid, 1, ctypes.byref(info)), "xc_domain_getinfolist", domid)
        return info.hvm

    def save(self, fd: int, domid: int, flags: int, callbacks: SaveCallbacks, stream_type: int, back_fd: int) -> int:
        """Stream a domain to ``fd``; return libxc's result; errno has the reason of a failure."""
        function = lib.declare(
            self._guest, ctypes.c_int, "xc_domain_save", ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32,
            ctypes.c_uint32, ctypes.POINTER(SaveCallbacks), ctypes.c_int, ctypes.c_int,
        )  # fmt: skip
        result = function(self.handle, fd, domid, flags, ctypes.byref(callbacks), stream_type, back_fd)
        return int(result)

    def restore(
        self, fd: int, domid: int, store: tuple[int, int], console: tuple[int, int],
        callbacks: RestoreCallbacks, stream_type: int, back_fd: int,
    ) -> tuple[int, int, int]:  # fmt: skip
        """Fill a new domain from ``fd``; return libxc's result and the gfns of store and console ring.

        ``store`` and ``console`` are (event channel port, domid of the daemon).
        """
        # Since Xen 4.22 one more argument, memflags, closes the list; on x86-64 an argument that the
        # callee does not expect is ignored, so it is always passed.
        function = lib.declare(
            self._guest, ctypes.c_int, "xc_domain_restore", ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32,
            ctypes.c_uint, ctypes.POINTER(ctypes.c_ulong), ctypes.c_uint32,
            ctypes.c_uint, ctypes.POINTER(ctypes.c_ulong), ctypes.c_uint32,
            ctypes.c_int, ctypes.POINTER(RestoreCallbacks), ctypes.c_int, ctypes.c_uint,
        )  # fmt: skip
        store_gfn, console_gfn = ctypes.c_ulong(), ctypes.c_ulong()
        result = function(
            self.handle, fd, domid, store[0], ctypes.byref(store_gfn), store[1],
            console[0], ctypes.byref(console_gfn), console[1], stream_type, ctypes.byref(callbacks), back_fd, 0,
        )  # fmt: skip
        return int(result), store_gfn.value, console_gfn.value
