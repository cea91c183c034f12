"""The clock of a guest that comes back: it has stood still, unless the guest's kernel asks Xen for the time.

What was measured, and what sets it, is in pyxl/cli/README.md, "The clock of a guest that comes back".
"""

import time

from pyxl.model import paths
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops.suspend import needs_help

#: Who keeps a guest's clock, as its checkpoint says: it has Xen's drivers, or nobody tells it that it was away.
XEN, OWN = "xen", "own"
#: Units of a span and their seconds; one is used from two of it on.
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))
#: Seconds that are worth no word: checkpoints know their second alone.
_NOTHING = 2


def kept_by(xen: Hypervisor, store: Store, domid: int) -> str:
    """Return who keeps the clock of a guest that runs; of one that was only just restored nobody can tell."""
    return XEN if needs_help(xen, store, domid) else OWN


def tell_guest(store: Store, domid: int) -> None:
    """Note for a script in a guest that it has come back, and when, in seconds since 1970."""
    store.write(paths.restored_at(domid), str(int(time.time())))


def away(saved: float | None) -> int | None:
    """Return for how many seconds a guest has been away that was ``saved`` then, in seconds since 1970, if known."""
    return None if saved is None else max(0, round(time.time() - saved))


def words(seconds: int | None, clock: str) -> str:
    """Return in words how far a guest's clock is behind that was away for so long, "" where it is not worth one."""
    if seconds is None or seconds < _NOTHING or clock == XEN:
        return ""
    name, unit = next(((name, unit) for name, unit in _UNITS if seconds >= 2 * unit), ("s", 1))
    return f"its clock {'is' if clock == OWN else 'may be'} {seconds // unit} {name} behind"
