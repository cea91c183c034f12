"""Checkpoints of all guests, or again and again: each is made by a process of its own, as if somebody typed it."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from pyxl import interrupt
from pyxl.cli.words import tell
from pyxl.errors import UsageError

_TIME = re.compile(r"([1-9]\d*)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def series(verbose: bool, options: Sequence[str], domain: str | None, path: str, every: str | None) -> int:
    """Make checkpoints of ``domain``, or of all guests, with ``options`` of `pyxl checkpoint`; return the exit status.

    :raise UsageError: ``every`` is no time.
    """
    step = _seconds(every) if every else 0
    interrupt.install()
    began, done = time.monotonic(), 0
    while True:
        status = _round(verbose, options, domain, path)
        if not step:
            return status
        # One that took longer than the time between two leaves those out that it has missed.
        done = max(done + 1, int((time.monotonic() - began) / step))
        wait = max(began + done * step - time.monotonic(), 0)
        if status:
            tell(f"pyxl: the next one is tried at {time.strftime('%H:%M:%S', time.localtime(time.time() + wait))}")
        time.sleep(wait)


def _round(verbose: bool, options: Sequence[str], domain: str | None, path: str) -> int:
    """Return 0, or 1 where one of the checkpoints failed."""
    wanted = [(domain, domain)] if domain else _guests(verbose)
    failed = [name for guest, name in wanted if _one(verbose, options, guest, path)]
    if failed and not domain:
        tell(f"pyxl: no checkpoint was made of {', '.join(failed)}")
    return int(bool(failed))


def _guests(verbose: bool) -> list[tuple[str, str]]:
    """Return (domid, name) of each guest that can have checkpoints; one that is paused does not change."""
    from pyxl.cli import wiring
    from pyxl.ops.lookup import name_of

    with wiring.on_host("checkpoint", verbose) as host:
        guests = [each for each in host.xen.domains() if each.domid and each.hvm and not each.dying]
        for each in guests:
            if each.paused:
                tell(f'pyxl: domain {each.domid} "{name_of(host.store, each.domid)}" is paused: no checkpoint of it')
        return [(str(each.domid), name_of(host.store, each.domid)) for each in guests if not each.paused]


def _one(verbose: bool, options: Sequence[str], domain: str, path: str) -> int:
    """Return the exit status of one checkpoint."""
    flags = ["-v"] if verbose else []
    child = subprocess.Popen([sys.executable, "-P", "-m", "pyxl", *flags, "checkpoint", *options, "--", domain, path])
    try:
        return child.wait()
    except KeyboardInterrupt:  # it undoes what it has begun
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise


def _seconds(text: str) -> int:
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise UsageError(f"--every takes a time such as 10m, 6h or 1d, and not {text!r}")
    return int(found[1]) * _SECONDS[found[2]]
