"""A keyed hash of each page, made by libxxhash in one step of Python's for many pages.

Imports next to nothing: the save-helper starts through here.
"""

import ctypes
import struct
from itertools import repeat

from pyxl.errors import PyxlError
from pyxl.memory.places import SECRET_BYTES
from pyxl.xen.foreign import PAGE_SIZE


class PageHash:
    """XXH3 with ``secret`` for its constants: a guest that does not know it cannot make pages that collide.

    ``zero`` is the hash of a page of zeros.

    :raise PyxlError: libxxhash is not installed.
    """

    def __init__(self, secret: bytes) -> None:
        try:
            # To leave the interpreter to other threads for so short a call costs more than the call.
            library = ctypes.PyDLL("libxxhash.so.0")
        except OSError as error:
            raise PyxlError("libxxhash.so.0 is not installed", "apt install libxxhash0") from error
        self._hash = library.XXH3_64bits_withSecret
        self._hash.restype = ctypes.c_uint64
        self._hash.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
        self._secret = ctypes.create_string_buffer(secret, SECRET_BYTES)
        self._secret_at = ctypes.addressof(self._secret)
        zeros = ctypes.create_string_buffer(PAGE_SIZE)
        (self.zero,) = struct.unpack("<Q", self.of(ctypes.addressof(zeros), 1))

    def of(self, address: int, pages: int) -> bytes:
        """Return the hashes of pages from ``address`` on, 8 bytes each."""
        at = range(address, address + pages * PAGE_SIZE, PAGE_SIZE)
        found = map(self._hash, at, repeat(PAGE_SIZE), repeat(self._secret_at), repeat(SECRET_BYTES))
        return struct.pack(f"<{pages}Q", *found)
