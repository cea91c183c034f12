"""What a process gives up before it touches a stream, which anybody may have made.

Calls libc through ctypes, which is loaded anyway.  Does not know what is saved or restored.
"""

import ctypes
import os

#: Set by a toolstack to its pid: the helper is to end with it.
PARENT = "PYXL_SAVE_HELPER_PARENT"
#: Address space that any save (155 MiB measured) or restore (24 MiB, and a record of up to 128 MiB) can need.
BASE_BYTES = 512 << 20
#: For each page of the host: three bitmaps, and for PV guests Xen's and the guest's own tables of pages.
BYTES_PER_PAGE = 32

_SIGTERM = 15
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38
_RLIMIT_CORE, _RLIMIT_AS = 4, 9
#: The user who owns nothing.
_NOBODY = 65534
_CAPABILITY_VERSION = 0x20080522
_IPC_LOCK = 1 << 14
#: Above what any process can have open.
_FDS_END = 1 << 20


def keep_only(*fds: int) -> None:
    """Close every descriptor but the standard ones and ``fds``, and refuse new privileges from here on.

    A core of this process would hold the guest's memory, and a debugger of another user would see it.
    """
    start = 3
    # os.closerange takes a negative end for "all of them".
    for fd in sorted(fd for fd in fds if fd >= start):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, _FDS_END)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _prctl(_SET_DUMPABLE, 0)
    _limit(_RLIMIT_CORE, 0)


def end_with_parent() -> bool:
    """Have SIGTERM sent when the toolstack ends, if it asked for that; return False if it has ended already."""
    if PARENT not in os.environ:
        return True
    _prctl(_SET_PDEATHSIG, _SIGTERM)
    return str(os.getppid()) == os.environ[PARENT]


def limit(host_pages: int) -> None:
    """Drop the capabilities and bound the address space, once the hypervisor's devices are open."""
    # Where the kernel has no /dev/xen/hypercall the libraries lock their buffers in memory.
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)(_IPC_LOCK, _IPC_LOCK, 0, 0, 0, 0))
    _limit(_RLIMIT_AS, BASE_BYTES + BYTES_PER_PAGE * host_pages)


def become_nobody(most: int) -> None:
    """Give up root and its rights, and bound the address space: for a process that needs nothing more.

    Call it before ``end_with_parent``: the kernel drops that signal when the user changes.
    """
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        _prctl(_SET_DUMPABLE, 0)
    _limit(_RLIMIT_AS, most)


def _limit(resource: int, most: int) -> None:
    """Bound a resource for good; a lower bound that is already set stays."""
    bounds = (ctypes.c_uint64 * 2)()
    _call("getrlimit", resource, bounds)
    lowest = min(bounds[0], bounds[1], most)
    _call("setrlimit", resource, (ctypes.c_uint64 * 2)(lowest, lowest))


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    _call("prctl", option, ctypes.c_ulong(value), zero, zero, zero)


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


_LIBC = ctypes.CDLL(None, use_errno=True)
