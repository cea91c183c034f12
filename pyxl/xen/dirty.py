"""libxenctrl: which frames of a domain are written to while it runs, Xen's log-dirty mode (xen-spec.md 6.2).

Imports ctypes and pyxl.xen.lib alone, for the helper's start-up.
"""

import ctypes

from pyxl.errors import XenError
from pyxl.xen import lib

_OFF, _ON, _CLEAN = 0, 2, 11  # XEN_DOMCTL_SHADOW_OP_*
_PAGE_BITS = 8 * 4096


class _Buffer(ctypes.Structure):
    """xc_hypercall_buffer_t, 40 bytes."""

    _fields_ = (
        ("memory", ctypes.c_void_p), ("shadow", ctypes.c_void_p), ("direction", ctypes.c_int),
        ("bounced", ctypes.c_void_p), ("size", ctypes.c_size_t),
    )  # fmt: skip


class DirtyLog:
    """The writes to domain ``domid``, of ``frames`` frames, while in a with block; ``handle`` is libxenctrl's.

    Each call raises XenError where Xen refuses: it cannot log what a passed-through device writes.
    """

    def __init__(self, handle: int, domid: int, frames: int) -> None:
        library = lib.load("xenctrl")
        h, d, unsigned = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint
        buffer = ctypes.POINTER(_Buffer)
        self._shadow = lib.declare(
            library, ctypes.c_int, "xc_shadow_control", h, d, unsigned, ctypes.POINTER(unsigned), unsigned
        )
        self._control = lib.declare(
            library, ctypes.c_longlong, "xc_logdirty_control", h, d, unsigned, buffer, ctypes.c_ulong, unsigned, h
        )
        self._allocate = lib.declare(library, h, "xc__hypercall_buffer_alloc_pages", h, buffer, ctypes.c_int)
        self._free = lib.declare(library, None, "xc__hypercall_buffer_free_pages", h, buffer, ctypes.c_int)
        self._handle = handle
        self._domid = domid
        self._frames = frames
        self._pages = -(-frames // _PAGE_BITS)
        self._buffer = _Buffer()
        self._is_on = False

    def __enter__(self) -> "DirtyLog":
        if not self._allocate(self._handle, ctypes.byref(self._buffer), self._pages):
            raise lib.failed("xc__hypercall_buffer_alloc_pages")
        try:
            self._switch(_ON)
        except XenError:  # a save that died may have left it on
            self._switch(_OFF)
            self._switch(_ON)
        self._is_on = True
        return self

    def __exit__(self, *_: object) -> None:
        self._free(self._handle, ctypes.byref(self._buffer), self._pages)
        self.off()

    def take(self) -> int:
        """Return the frames that were written to since the last call, each as a bit, and begin anew."""
        found = self._control(
            self._handle, self._domid, _CLEAN, ctypes.byref(self._buffer), self._frames, 0, None
        )
        lib.check(found, "xc_logdirty_control", self._domid)
        if found < self._frames:
            raise XenError("xc_logdirty_control", 0, self._domid, f"{found} of {self._frames} frames")
        bitmap = ctypes.string_at(self._buffer.memory, -(-self._frames // 8))
        return int.from_bytes(bitmap, "little") & ((1 << self._frames) - 1)

    def off(self) -> None:
        """Log no more; harmless when done twice."""
        if self._is_on:
            self._is_on = False
            self._switch(_OFF)

    def _switch(self, how: int) -> None:
        lib.check(self._shadow(self._handle, self._domid, how, None, 0), "xc_shadow_control", self._domid)
