"""Get at a guest's console or display: this process becomes xenconsole or vncviewer."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

from pyxl.errors import GuestError, PyxlError, UsageError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, Store

#: The first Xen whose xenconsole can be told what ends it.
ESCAPE_SINCE = (4, 18)
VIEWER = "vncviewer"


class Console(IntEnum):
    """A type of console, by libxl's numbers."""

    PRIMARY = 0
    SERIAL = 1
    PV = 2
    VUART = 3


def console(
    xen: Hypervisor, store: Store, domain: DomainInfo, kind: Console, number: int, escape: str | None
) -> NoReturn:
    """Become xenconsole on a guest's console, until ctrl-] or ``escape`` ends it.

    :raise UsageError: this Xen's xenconsole knows no ``escape``.
    :raise GuestError: the guest has no such console.
    :raise XenError: xenconsole cannot be started.
    """
    major, minor = xen.release().split(".")[:2]
    if escape is not None and (int(major), int(minor)) < ESCAPE_SINCE:
        raise UsageError(f"-e is of Xen {'.'.join(map(str, ESCAPE_SINCE))} and later, and this is {xen.release()}")
    domid = domain.domid
    if kind is Console.PRIMARY:
        number = 0
        emulated = store.read(paths.domain_type(domid)) == "hvm"
        wanted = Console.SERIAL if emulated else Console.PV
    else:
        wanted = kind
    by_stub_domain = kind is Console.PRIMARY and store.read(paths.device_model_domid(domid)) is not None
    if wanted is not Console.VUART and not by_stub_domain:
        path = paths.serial_tty(domid, number) if wanted is Console.SERIAL else paths.console_tty(domid, number)
        if not store.read(path):
            raise GuestError(
                f"domain {domid} has no {wanted.name.lower() if wanted is Console.SERIAL else 'PV'} console {number}",
                'serial="pty" in its config makes a serial one; `-t pv` is the one of its PV drivers.'
                if wanted is Console.SERIAL else "",
            )  # fmt: skip
    with _as_any_program():
        xen.console(domid, kind, number, escape)


def vncviewer(xen: Hypervisor, store: Store, domain: DomainInfo, *, autopass: bool) -> NoReturn:
    """Become a vncviewer ($VNCVIEWER) on a guest's display; ``autopass`` gives it the password on its stdin.

    :raise GuestError: the guest has no display over VNC.
    :raise PyxlError: there is no such program.
    """
    port = store.read(paths.vnc_port(domain.domid))
    if not port:
        raise GuestError(f"domain {domain.domid} has no display over VNC", "`vnc=1` in its config makes one.")
    viewer = os.environ.get("VNCVIEWER") or VIEWER
    if shutil.which(viewer) is None:
        address = store.read(paths.vnc_listen(domain.domid)) or "localhost"
        raise PyxlError(
            f"there is no {viewer} here", f"The display is at {address}:{port}; VNCVIEWER=PROGRAM names another viewer."
        )
    with _as_any_program():
        xen.vncviewer(domain.domid, autopass)


@contextmanager
def _as_any_program() -> Iterator[None]:
    """Take back what Python does to a process that its next program would inherit, and do it again if there is none."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
