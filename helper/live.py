"""A save of a guest that runs: what the toolstack is asked and told meanwhile, for either engine.

Imported only for such a save.
"""

import ctypes
import time

from pyxl.errors import PyxlError
from pyxl.memory.policy import Policy
from pyxl_save_helper.callbacks import Toolstack
from pyxl_save_helper.words import facts

#: Words of the toolstack's (helper/README.md).
LIVE, GOES_ON = "live", "goes-on"
_STOP, _CONTINUE = 1, 0  # XGS_POLICY_*


def policy(words: list[str]) -> Policy:
    """Return the policy that words such as ``downtime=300`` (in ms) and ``rounds=8`` ask for."""
    named = facts(words)
    return Policy(int(named["downtime"]) / 1000, int(named["rounds"]))


def tell(toolstack: Toolstack, pages: int, seconds: float, why_last: str = "") -> None:
    """Tell of a round; the last one, of the suspended guest, has a reason."""
    toolstack.send("progress", LIVE, why_last, pages, round(seconds * 1_000_000))


class Guest:
    """The toolstack as pyxl.memory.live's Guest; in a with block the device model logs its writes."""

    def __init__(self, toolstack: Toolstack, domid: int) -> None:
        self._toolstack = toolstack
        self._domid = domid

    def __enter__(self) -> "Guest":
        if self._toolstack.send("switch_qemu_logdirty", self._domid, 1):
            raise PyxlError("the device model does not log what it writes")
        return self

    def __exit__(self, *_: object) -> None:
        self._toolstack.send("switch_qemu_logdirty", self._domid, 0)

    def told(self, pages: int, seconds: float, why_last: str) -> None:
        tell(self._toolstack, pages, seconds, why_last)

    def suspend(self) -> bool:
        return self._toolstack.send("suspend") == 1

    def goes_on(self) -> None:
        self._toolstack.send("postcopy")


class _Stats(ctypes.Structure):
    """struct precopy_stats."""

    _fields_ = (("iteration", ctypes.c_uint), ("written", ctypes.c_ulong), ("dirty", ctypes.c_long))


_POLICY = ctypes.CFUNCTYPE(ctypes.c_int, _Stats, ctypes.c_void_p)


def precopy_policy(toolstack: Toolstack, wanted: Policy) -> "ctypes._FuncPointer":
    """Return libxc's callback of this name: it asks it before and after it has counted what is dirty."""
    before = [0, time.monotonic()]  # pages written, and when

    def decide(stats: _Stats, _: int) -> int:
        now = time.monotonic()
        if stats.iteration == 0 or stats.dirty < 0:
            return _CONTINUE
        sent, seconds = stats.written - before[0], now - before[1]
        before[:] = stats.written, now
        tell(toolstack, sent, seconds)
        why = wanted.why_stop(sent, seconds, stats.dirty)
        if why:
            tell(toolstack, stats.dirty, 0, why)
        return _STOP if why else _CONTINUE

    return _POLICY(decide)
