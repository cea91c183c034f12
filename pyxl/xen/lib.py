"""The shared libraries of the running Xen: find them, declare their functions, turn errno into XenError.

Sonames carry Xen's version (xen-spec.md 6.3); those with a stable ABI carry their own.
Imports ctypes and nothing else of weight: the save-helper starts through here.
"""

import ctypes
import os

from pyxl.errors import PyxlError, XenError

STABLE = {"xentoollog": 1, "xenforeignmemory": 1, "xenevtchn": 1}
_VERSION = "/sys/hypervisor/version/"

#: struct xentoollog_logger: three function pointers, the last two optional.
VMESSAGE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p
)
PROGRESS = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong
)


class NotOnXen(PyxlError):
    """This machine does not run Xen, or this is not its control domain."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this machine is not a Xen host: {reason}", "`pyxl lab up` starts a real one in QEMU.")


def xen_version() -> tuple[int, int]:
    """Return major and minor version of the running Xen.

    :raise NotOnXen: there is none.
    """
    try:
        with open(_VERSION + "major") as major, open(_VERSION + "minor") as minor:
            return int(major.read()), int(minor.read())
    except OSError as error:
        raise NotOnXen("no hypervisor in sysfs") from error


def xen_release() -> str:
    """Return the running Xen's version in full, as 4.17.7.

    :raise NotOnXen: there is none.
    """
    major, minor = xen_version()
    with open(_VERSION + "extra") as extra:
        return f"{major}.{minor}{extra.read().strip()}"


def load(name: str) -> ctypes.CDLL:
    """Load lib``name`` of the running Xen.

    :raise NotOnXen: no Xen runs here.
    :raise XenError: Xen runs, but its library is not installed.
    """
    if name in STABLE:
        soname = f"lib{name}.so.{STABLE[name]}"
    else:
        major, minor = xen_version()
        soname = f"lib{name}.so.{major}.{minor}"
    try:
        return ctypes.CDLL(soname, use_errno=True)
    except OSError as error:
        raise XenError("dlopen", detail=f"{soname}: {error}") from error


def declare(library: ctypes.CDLL, restype: object, name: str, *argtypes: object) -> "ctypes._NamedFuncPointer":
    """Declare ``name`` of ``library`` with its types and return it.

    :raise XenError: the library has no such symbol.
    """
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise XenError(name, detail=f"not in {library._name}") from error
    function.restype = restype
    function.argtypes = argtypes
    return function  # type: ignore[no-any-return]


def failed(function: str, domid: int | None = None) -> XenError:
    """Return the error for a call that just failed and left its reason in errno."""
    return XenError(function, ctypes.get_errno(), domid)


def check(result: int, function: str, domid: int | None = None) -> int:
    """Return ``result``, or raise XenError with errno when it is negative."""
    if result < 0:
        raise failed(function, domid)
    return result


def require_root(what: str) -> None:
    """Refuse to go on without root's rights, which every hypercall needs.

    :raise PyxlError: not root.
    """
    if os.geteuid():
        raise PyxlError(f"{what} needs root: only root may talk to the hypervisor", f"Try `sudo pyxl {what} …`.")
