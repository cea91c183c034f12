"""The one place that picks the real hypervisor, xenstore and device model; every command starts here."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pyxl import interrupt
from pyxl.cli.words import printable_lines, tell
from pyxl.errors import UsageError
from pyxl.model import paths, releases
from pyxl.ops.lookup import name_of
from pyxl.xen import domain_log, lib
from pyxl.xen.host import XenHost
from pyxl.xen.store import Store

if TYPE_CHECKING:  # `pyxl list` starts here, too: what only some commands need is imported where they need it
    from pathlib import Path

    from pyxl.formats.guest_config import GuestConfig
    from pyxl.model.domain import DomainInfo
    from pyxl.model.ports import DeviceModel
    from pyxl.model.ports import Store as StorePort

__all__ = ["Host", "on_host", "guest_config", "config_text", "open_dm", "parse_config"]

#: Far more than a save or restore opens.
OPEN_FILES = 256


class Host(NamedTuple):
    """This Xen host, open for one command."""

    xen: XenHost
    store: Store

    def log_to(self, name: str) -> Callable[[str], None]:
        """Send libxl's log to the log of domain ``name``, and return a function that writes pyxl's lines there."""
        path = paths.domain_log(name)
        self.xen.log_to(path)
        return partial(domain_log.write, path)

    def monitor_in_background(self, name: str) -> Callable[[int], None]:
        """Return a function that starts a monitor process for the domain called ``name``, given its domid."""

        from pyxl.ops import monitor_run

        def start(domid: int) -> None:
            monitor_run.in_background(self._monitor(domid, name), paths.domain_log(name))

        return start

    def leave_unwatched(self, domid: int) -> None:
        """Note that a domain is to have no monitor, so that no later save starts one."""
        self.store.write(paths.unwatched(domid), "1")

    def monitor_here(self, domid: int, name: str) -> NoReturn:
        """Become the monitor of a domain, which ends with the domain or by a signal."""
        command = self._monitor(domid, name)
        os.execv(command[0], command)

    def _monitor(self, domid: int, name: str) -> list[str]:
        from pyxl.ops import monitor_run

        domain = self.xen.domain(domid)
        return monitor_run.command(domid, domain.uuid if domain else "", name)


@contextmanager
def on_host(command: str, verbose: bool) -> Iterator[Host]:
    """Open this Xen host for ``command``.

    :raise PyxlError: not root, not on Xen, xenstored does not answer.
    """
    lib.xen_version()
    lib.require_root(command)
    interrupt.install()
    _have_descriptors()
    with XenHost(f"{paths.LOG_DIRECTORY}/pyxl.log", verbose) as xen, Store() as store:
        yield Host(xen, store)


def open_store(seconds: float) -> Store:
    """Open xenstore alone, each of whose answers may take ``seconds``.

    :raise StoreError: it may not be reached.
    """
    return Store(seconds)


def attend(domid: int, uuid: str, name: str) -> int:
    """Do in the monitor of a domain what the domain needs; return the domid to watch from now on, 0 for none.

    ``name`` is what it was called when the monitor started.
    """
    from pyxl.ops import monitor  # in the monitor's child alone

    with Store() as store, XenHost(path := paths.domain_log(name_of(store, domid) or name)) as xen:
        return monitor.attend(xen, store, open_dm, domid, uuid, partial(domain_log.write, path))


def open_dm(domain: "DomainInfo", store: "StorePort") -> "DeviceModel | None":
    """Return the device model of ``domain``, None for a guest that has none to save."""
    from pyxl.dm import open_dm as opened  # a restore or create needs one only to undo what a dead operation owed

    return opened(domain, store)


def guest_config(
    file: "Path | None", settings: tuple[str, ...] = (), strict: bool = False, nodes: list[int] | None = None
) -> "GuestConfig":
    """Return the guest's config out of an xl.cfg file, or libxl's JSON, and settings from the command line.

    ``strict`` makes warnings errors; ``nodes`` has the NUMA node of each of the host's CPUs.

    :raise UsageError: the file cannot be read, or its text is wrong.
    """
    chunks = [] if file is None else [(str(file), config_text(file))]
    if chunks and not settings and chunks[0][1].lstrip().startswith("{"):  # as `config show --json` writes it
        from pyxl.formats.guest_config import GuestConfig

        return GuestConfig(chunks[0][1], chunks[0][0])
    if settings:
        chunks.append(("command line", "\n".join(settings)))
    return parse_config(chunks, strict, nodes)


def nic(spec: str) -> dict[str, Any]:
    """Return the libxl_device_nic of one `vif` string, with xl.conf's defaults; libxl numbers one without a devid.

    :raise UsageError: the text is wrong.
    """
    from pyxl.formats.xlcfg import devices
    from pyxl.formats.xlcfg.xl_conf import NIC_DEFAULTS
    from pyxl.ops import xl_conf

    options = xl_conf.read(warn=_warn)
    defaults = {member: options[name] for name, member in NIC_DEFAULTS.items() if name in options}
    found = devices.nic(spec, -1, defaults, "command line", _warn)
    if found["devid"] < 0:
        del found["devid"]
    return found


def config_text(file: "Path") -> str:
    """Return the text of an xl.cfg file; comments may be in any encoding, and hold carriage returns that end no line.

    :raise UsageError: it cannot be read.
    """
    try:
        return file.read_bytes().decode(errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error


def parse_config(
    chunks: list[tuple[str, str]], strict: bool = False, nodes: list[int] | None = None
) -> "GuestConfig":
    """Return the guest's config out of texts in xl.cfg's grammar, each with the name of its source.

    :raise UsageError: a text is wrong.
    """
    import json

    from pyxl.formats.guest_config import GuestConfig

    # A save or restore seldom needs an xl.cfg, and should not pay for its tables.
    from pyxl.formats.xlcfg.parse import parse
    from pyxl.ops import xl_conf

    defaults = xl_conf.read(warn=_warn) | release()
    if nodes is not None:
        defaults |= {"host_cpus": len(nodes), "host_nodes": nodes}
    document = parse(chunks, defaults, warn=_warn, strict=strict)
    return GuestConfig(json.dumps(document), chunks[0][0])


def release() -> dict[str, Any]:
    """Return what parse is told of the Xen that runs here, nothing where none does."""
    try:
        return {"release": releases.parsed(lib.xen_release())}
    except lib.NotOnXen:
        return {}


def _warn(text: str) -> None:
    tell(printable_lines(f"pyxl: {text}"))


def _have_descriptors() -> None:
    """Raise a low limit on open files: libxl and libxc fail in the middle where they meet it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, max(hard, OPEN_FILES)))
