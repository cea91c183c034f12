"""libxenforeignmemory: another domain's pages in this process (xen-spec.md 6.2).

Imports ctypes and pyxl.xen.lib alone, for the helper's start-up.
"""

import ctypes

from pyxl.errors import XenError
from pyxl.xen import lib

READ, WRITE = 1, 2
PAGE_SIZE = 4096


class ForeignMemory:
    """The pages of domain ``domid``, to be mapped by their gfns.

    :raise XenError: the library is missing, or there is no access to the hypervisor.
    """

    def __init__(self, domid: int) -> None:
        library = lib.load("xenforeignmemory")
        handle, pages, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
        opener = lib.declare(library, handle, "xenforeignmemory_open", ctypes.c_void_p, ctypes.c_uint)
        self._map = lib.declare(
            library, pages, "xenforeignmemory_map",
            handle, ctypes.c_uint32, ctypes.c_int, size, ctypes.c_void_p, ctypes.c_void_p,
        )  # fmt: skip
        self._unmap = lib.declare(library, ctypes.c_int, "xenforeignmemory_unmap", handle, pages, size)
        self._domid = domid
        self._handle = opener(None, 0)
        if not self._handle:
            raise lib.failed("xenforeignmemory_open")

    def map(self, gfns: bytes, access: int) -> int:
        """Map pages one behind the other and return the address of the first; ``gfns`` has 8 bytes for each.

        :raise XenError: one of them cannot be mapped.
        """
        count = len(gfns) // 8
        errors = (ctypes.c_int * count)()
        address = self._map(self._handle, self._domid, access, count, gfns, errors)
        if not address:
            raise lib.failed("xenforeignmemory_map", self._domid)
        if any(memoryview(errors).cast("B")):
            bad = next(index for index, error in enumerate(errors) if error)
            self.unmap(address, count)
            gfn = int.from_bytes(gfns[8 * bad : 8 * bad + 8], "little")
            raise XenError("xenforeignmemory_map", -errors[bad], self._domid, f"gfn {gfn:#x}")
        return int(address)

    def unmap(self, address: int, count: int) -> None:
        """Take ``count`` pages out of this process again.

        :raise XenError: they were not mapped.
        """
        lib.check(self._unmap(self._handle, address, count), "xenforeignmemory_unmap", self._domid)
