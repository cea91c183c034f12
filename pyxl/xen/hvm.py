"""libxenctrl and libxenguest: what a stream holds of an HVM or PVH domain besides its pages (xen-spec.md 3, 6.2).

Imports ctypes and pyxl.xen.lib alone, for the helper's start-up.
"""

import ctypes

from pyxl.errors import XenError
from pyxl.xen import cpu, lib
from pyxl.xen.info import RawInfo

STORE_PFN, STORE_EVTCHN, PAE_ENABLED, IOREQ_PFN, BUFIOREQ_PFN = 1, 2, 4, 5, 6
CONSOLE_PFN, CONSOLE_EVTCHN = 17, 18
#: HVM params whose value is the gfn of a page that begins empty.
RINGS = (STORE_PFN, IOREQ_PFN, BUFIOREQ_PFN, CONSOLE_PFN)
#: HVM params that a stream holds, in libxc's order: the rings of store, ioreq, buffered ioreq, paging, monitor and
#: sharing; VM86_TSS_SIZED, console, ACPI_IOPORTS_LOCATION, VIRIDIAN, IDENT_PT, VM_GENERATION_ID_ADDR,
#: IOREQ_SERVER_PFN, NR_IOREQ_SERVER_PAGES, X87_FIP_WIDTH, MCA_CAP.
SAVED_PARAMS = (STORE_PFN, IOREQ_PFN, BUFIOREQ_PFN, 27, 28, 29, 37, CONSOLE_PFN, 19, 9, 12, 34, 32, 33, 36, 38)

_H, _DOMID = ctypes.c_void_p, ctypes.c_uint32
_U32, _U64 = ctypes.c_uint32, ctypes.c_uint64
_NUMBER32, _NUMBER64 = ctypes.POINTER(_U32), ctypes.POINTER(_U64)


class HvmDomain:
    """Domain ``domid`` through libxenctrl's open ``handle``; each call raises XenError where Xen refuses."""

    def __init__(self, handle: int, domid: int) -> None:
        self._handle = handle
        self.domid = domid
        self._control = lib.load("xenctrl")
        # Called for each batch of pages.
        self._types = self._declare("xc_get_pfn_type_batch", ctypes.c_uint, ctypes.c_void_p)
        self._populate = self._declare(
            "xc_domain_populate_physmap", ctypes.c_ulong, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p
        )

    def last_gfn(self) -> int:
        """Return the highest gfn that the domain may have."""
        last = ctypes.c_ulong()
        self._call("xc_domain_maximum_gpfn", ctypes.byref(last), types=(ctypes.POINTER(ctypes.c_ulong),))
        return last.value

    def pages_in_all(self) -> int:
        """Return how many pages of memory the domain has."""
        info = RawInfo()
        function = lib.declare(
            self._control, ctypes.c_int, "xc_domain_getinfolist", _H, _DOMID, ctypes.c_uint, ctypes.POINTER(RawInfo)
        )
        lib.check(function(self._handle, self.domid, 1, ctypes.byref(info)), "xc_domain_getinfolist", self.domid)
        return int(info.tot_pages)

    def page_types(self, gfns: ctypes.Array[ctypes.c_char], count: int) -> None:
        """Replace each of up to 1024 gfns of 8 bytes by the type of its page, in bits 28 to 31."""
        lib.check(self._types(self._handle, self.domid, count, gfns), "xc_get_pfn_type_batch", self.domid)

    def populate(self, gfns: bytes, order: int) -> bool:
        """Give the domain memory: ``1 << order`` pages from each of ``gfns``, 8 bytes for each; return whether it has.

        Where it has not, some of them may be there.
        """
        count = len(gfns) // 8
        extents = ctypes.create_string_buffer(gfns, len(gfns))
        return int(self._populate(self._handle, self.domid, count, order, 0, extents)) == count

    def clear(self, gfn: int) -> None:
        """Fill a page with zeros."""
        self._call("xc_clear_domain_pages", gfn, 1, types=(ctypes.c_ulong, ctypes.c_int))

    def policy(self) -> tuple[bytes, bytes]:
        """Return its CPUID leaves and its MSRs, each laid out as in the record of a stream."""
        return cpu.policy_of(self._handle, self.domid)

    def set_policy(self, leaves: bytes, msrs: bytes) -> None:
        """Set the processor that it sees."""
        bad = (_U32(), _U32(), _U32())
        function = lib.declare(
            lib.load("xenguest"), ctypes.c_int, "xc_set_domain_cpu_policy", _H, _DOMID,
            _U32, ctypes.c_void_p, _U32, ctypes.c_void_p, _NUMBER32, _NUMBER32, _NUMBER32,
        )  # fmt: skip
        result = function(
            self._handle, self.domid, len(leaves) // cpu.LEAF_BYTES, leaves, len(msrs) // cpu.MSR_BYTES, msrs,
            *map(ctypes.byref, bad),
        )  # fmt: skip
        if result < 0:
            where = "leaf {:#x}, subleaf {:#x}, msr {:#x}".format(*(each.value for each in bad))
            raise XenError("xc_set_domain_cpu_policy", ctypes.get_errno(), self.domid, where)

    def tsc(self) -> tuple[int, int, int, int]:
        """Return mode, kHz, nanoseconds and incarnation of its TSC."""
        mode, nsec, khz, incarnation = _U32(), _U64(), _U32(), _U32()
        numbers = map(ctypes.byref, (mode, nsec, khz, incarnation))
        self._call("xc_domain_get_tsc_info", *numbers, types=(_NUMBER32, _NUMBER64, _NUMBER32, _NUMBER32))
        return mode.value, khz.value, nsec.value, incarnation.value

    def set_tsc(self, mode: int, khz: int, nsec: int, incarnation: int) -> None:
        """Set its TSC."""
        self._call("xc_domain_set_tsc_info", mode, nsec, khz, incarnation, types=(_U32, _U64, _U32, _U32))

    def context(self) -> bytes:
        """Return Xen's state of its vcpus and platform, opaque."""
        size = self._call("xc_domain_hvm_getcontext", None, 0, types=(ctypes.c_void_p, _U32))
        buffer = ctypes.create_string_buffer(size)
        size = self._call("xc_domain_hvm_getcontext", buffer, size, types=(ctypes.c_void_p, _U32))
        return buffer.raw[:size]

    def set_context(self, context: bytes) -> None:
        """Set Xen's state of its vcpus and platform."""
        self._call("xc_domain_hvm_setcontext", context, len(context), types=(ctypes.c_void_p, _U32))

    def params(self) -> list[tuple[int, int]]:
        """Return those HVM params that a stream holds, as (index, value), without those that are 0."""
        found = []
        for index in SAVED_PARAMS:
            value = _U64()
            self._call("xc_hvm_param_get", index, ctypes.byref(value), types=(_U32, _NUMBER64))
            if value.value:
                found.append((index, value.value))
        return found

    def set_param(self, index: int, value: int) -> None:
        """Set an HVM param."""
        self._call("xc_hvm_param_set", index, value, types=(_U32, _U64))

    def seed_grants(self, console: tuple[int, int], store: tuple[int, int]) -> None:
        """Grant each ring, given as (gfn, domid of its daemon), to its daemon."""
        gfn = ctypes.c_ulong
        function = lib.declare(
            lib.load("xenguest"), ctypes.c_int, "xc_dom_gnttab_seed",
            _H, _DOMID, ctypes.c_bool, gfn, gfn, _DOMID, _DOMID,
        )  # fmt: skip
        result = function(self._handle, self.domid, True, console[0], store[0], console[1], store[1])
        lib.check(result, "xc_dom_gnttab_seed", self.domid)

    def _declare(self, name: str, *types: object) -> "ctypes._NamedFuncPointer":
        return lib.declare(self._control, ctypes.c_int, name, _H, _DOMID, *types)

    def _call(self, name: str, *arguments: object, types: tuple[object, ...]) -> int:
        return lib.check(self._declare(name, *types)(self._handle, self.domid, *arguments), name, self.domid)
