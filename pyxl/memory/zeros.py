"""Which pages of a mapping are not zero, found without a step of Python's for each page.

Imports next to nothing: the save-helper starts through here.
"""

import ctypes
import mmap

from pyxl.xen.foreign import PAGE_SIZE

#: Pages that are looked at together at the least: a smaller hole in a file saves less than looking for it costs.
GRAIN = 4
#: Pages that are compared at once.  Never written to, all of ``_ZEROS`` is one page of the kernel's, which stays in the
#: cache; from 2 MiB on it could be a huge one.
MOST = 256

_ZEROS = mmap.mmap(-1, MOST * PAGE_SIZE)
ZEROS_AT = ctypes.addressof(ctypes.c_char.from_buffer(_ZEROS))
_compare = ctypes.CDLL(None).memcmp
_compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def is_zero(address: int, pages: int) -> bool:
    """Tell whether up to ``MOST`` pages from ``address`` on are zero."""
    return not _compare(address, ZEROS_AT, pages * PAGE_SIZE)


def data_runs(address: int, pages: int) -> list[tuple[int, int]]:
    """Return the pages that are not zero, as (first, count), and few others; pages are counted from ``address``."""
    runs: list[tuple[int, int]] = []
    for first in range(0, pages, MOST):
        _find(runs, address, first, min(MOST, pages - first))
    return runs


def _find(runs: list[tuple[int, int]], address: int, first: int, count: int) -> None:
    if is_zero(address + first * PAGE_SIZE, count):
        return
    if count > GRAIN:
        half = count // 2
        _find(runs, address, first, half)
        _find(runs, address, first + half, count - half)
    elif runs and sum(runs[-1]) == first:
        runs[-1] = (runs[-1][0], runs[-1][1] + count)
    else:
        runs.append((first, count))
