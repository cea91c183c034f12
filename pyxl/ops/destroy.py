"""Destroy a domain at once, unless another operation on it is in progress."""

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from pyxl.errors import XenError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import hold

#: Seconds that another toolstack may take to destroy the same domain.
OTHER_SECONDS = 5.0
#: Seconds that a device model may take to end: as many as libxl sleeps for it.
DEVICE_MODEL_SECONDS = 2.0
#: What libxl calls a device and its backend, where that is qemu.
QEMU_DEVICES = (("vkbd", "vkbd"), ("vfb", "vfb"), ("vbd", "qdisk"))


def destroy(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, report: Report, *, force: bool = False
) -> None:
    """Destroy a domain; with ``force`` also in the middle of another operation on it, which then fails.

    :raise Busy: an operation on it is in progress.
    :raise XenError: it is still there.
    """
    name = name_of(store, domain.domid)
    with nullcontext() if force else hold(xen, store, open_dm, "destroy", domain.uuid, name, report.remark):
        if xen.domain(domain.domid) is not None:  # an operation that died may have owed just this
            bring_down(xen, store, domain.domid, report.remark)


def bring_down(xen: Hypervisor, store: Store, domid: int, say: Callable[[str], None]) -> None:
    """Destroy a domain, and wait for its device model to end; if libxl fails but the domain is gone, only say so.

    When two toolstacks destroy one domain at the same time, libxl fails in one of them.

    :raise XenError: it is still there.
    """
    now = xen.domain(domid)
    has_shut_down = now is not None and now.shutdown_reason is not None
    try:
        with _device_model_ending(store, domid):
            if has_shut_down:
                _forget_devices(store, domid)
            xen.destroy(domid)
        if has_shut_down:
            for _, kind in QEMU_DEVICES:  # qemu may have said once more that it closes them
                store.remove(f"{paths.backends(kind)}/{domid}")
    except XenError as error:
        end = time.monotonic() + OTHER_SECONDS
        while (domain := xen.domain(domid)) is not None and not domain.dying:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        say(f"domain {domid} is gone; another toolstack was at it, or something of it is left: {error}")


def _forget_devices(store: Store, domid: int) -> None:
    """Take away the nodes of those devices of a domain that has shut down whose backend is qemu, in this domain.

    Where libxl finds one it sleeps for 2 s, to let qemu close it, which it has just told to end.
    """
    for kind, backend_kind in QEMU_DEVICES:
        for number in store.children(paths.libxl_devices(domid, kind)):
            ours = f"{paths.libxl_devices(domid, kind)}/{number}"
            backend = f"{paths.backends(backend_kind)}/{domid}/{number}"

            def forget(ours: str = ours, backend: str = backend) -> None:
                if store.read(f"{ours}/backend") == backend:
                    store.remove(ours)
                    store.remove(backend)

            store.together(forget)


@contextmanager
def _device_model_ending(store: Store, domid: int) -> Iterator[None]:
    """Wait at the end for the process of a domain's device model, so that its disks are free; not for long."""
    try:
        process = os.pidfd_open(int(store.read(paths.device_model_pid(domid)) or ""))
    except (OSError, ValueError):  # it has none, or it has ended
        yield
        return
    try:
        yield
        ended = select.poll()
        ended.register(process, select.POLLIN)
        ended.poll(1000 * DEVICE_MODEL_SECONDS)
    finally:
        os.close(process)
