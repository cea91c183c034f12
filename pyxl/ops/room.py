"""Memory for a new domain: what Xen has free, and what dom0 gives where xl.conf has it (autoballoon)."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxl.checkpoint.undo import Undo
from pyxl.errors import PyxlError, XenError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.phases import Owed, Phase
from pyxl.model.ports import Hypervisor
from pyxl.model.report import Report
from pyxl.ops import xl_conf

#: Of what dom0 has available this much stays; xl leaves that to dom0's out-of-memory killer.
DOM0_KEEPS_KB = 128 << 10
#: Seconds that dom0 may take without having given anything more.
GIVING_SECONDS = 10.0
#: Seconds that another toolstack may take to build its domains.
LOCK_SECONDS = 3600.0
_LOOK_SECONDS = 0.1
#: An option of Xen's command line that sets dom0's size for good: with it, "auto" is off.
_FIXED_DOM0 = re.compile(r"(?:^| )dom0_mem=(?:(?:|min:|max:)[0-9]+[bBkKmMgG]?,?)+(?: |$)")


@contextmanager
def room_for(xen: Hypervisor, undo: Undo, config: GuestConfig, report: Report) -> Iterator[None]:
    """Have Xen keep memory for the domain that the block builds.

    Where dom0 gives memory, no two domains are built at once, xl's included: one would take what was made free for the
    other.  What it gave goes back if the domain cannot be built.

    :raise PyxlError: there is not enough.
    """
    needed = xen.needed_memory_kb(config.to_json())
    options = xl_conf.read()
    if not dom0_gives(str(options.get("autoballoon", "auto")), xen):
        free = xen.free_memory_kb()
        if needed > free:
            raise PyxlError(
                _short(needed, free),
                "End or shrink another guest; or make dom0 smaller: `xl mem-set 0 …`, or xl.conf's autoballoon.",
            )
        yield
        return
    with _alone(Path(options.get("lockfile", paths.XL_LOCK)), report):
        _make_room(xen, undo, needed, report)
        yield


def dom0_gives(autoballoon: str, xen: Hypervisor) -> bool:
    """Tell whether dom0 gives memory to new domains, as xl understands ``autoballoon``."""
    if autoballoon in ("on", "1"):
        return True
    return autoballoon not in ("off", "0") and not _FIXED_DOM0.search(xen.command_line())


def obtainable_kb(xen: Hypervisor) -> int:
    """Return how much memory new domains could have, in KiB: what Xen has free, and what dom0 would give."""
    gives = dom0_gives(str(xl_conf.read().get("autoballoon", "auto")), xen)
    return xen.free_memory_kb() + (max(0, _available_kb() - DOM0_KEEPS_KB) if gives else 0)


def give_back(xen: Hypervisor, kb: int) -> str:
    """Let dom0 have memory again that no domain has taken, and say so."""
    try:
        xen.grow_dom0(kb)
    except XenError as error:  # after a reboot dom0 has it already
        return f"dom0 did not take back {kb >> 10} MiB ({error})"
    return f"{kb >> 10} MiB given back to dom0"


def _make_room(xen: Hypervisor, undo: Undo, needed: int, report: Report) -> None:
    free = xen.free_memory_kb()
    missing = needed - free
    if missing <= 0:
        return
    spare = max(0, _available_kb() - DOM0_KEEPS_KB)
    if missing > spare:
        raise PyxlError(
            f"{_short(needed, free)}, and dom0 can give {spare >> 10} MiB of its own", "End or shrink another guest."
        )
    undo.by(Owed.ROOM, lambda: give_back(xen, missing))
    undo.enter(Phase.ROOM, room=missing)
    report.step(f"taking {missing >> 10} MiB from dom0")
    xen.grow_dom0(-missing)
    least, end = missing, time.monotonic() + GIVING_SECONDS
    while (left := needed - xen.free_memory_kb()) > 0:
        if left < least:
            least, end = left, time.monotonic() + GIVING_SECONDS
        if time.monotonic() > end:
            raise PyxlError(
                f"dom0 gave only {missing - least >> 10} of the {missing >> 10} MiB that the guest lacks",
                "`dmesg` in dom0 may say why; or end or shrink another guest.",
            )
        time.sleep(_LOOK_SECONDS)
    report.remark(f"dom0 gave {missing >> 10} MiB to make room (autoballoon)")


def _short(needed: int, free: int) -> str:
    return f"the guest needs {-(-needed >> 10)} MiB of memory, Xen has {free >> 10} MiB free"


def _available_kb() -> int:
    """Return what dom0 could do without, in KiB."""
    text = Path("/proc/meminfo").read_text()
    match = re.search(r"^MemAvailable: *(\d+) kB", text, re.MULTILINE)
    return int(match[1]) if match else 0


@contextmanager
def _alone(lock: Path, report: Report) -> Iterator[None]:
    """Hold xl's lock on the building of domains.

    :raise PyxlError: another toolstack has not released it in time.
    """
    fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + LOCK_SECONDS
        waits = False
        while True:
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise PyxlError(f"another toolstack has built domains for an hour, by its lock {lock}") from None
            if not waits:
                report.step(f"waiting until another domain is built ({lock})")
                waits = True
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(fd)
