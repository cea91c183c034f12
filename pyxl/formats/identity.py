"""A config for another guest from the same checkpoint: what no two guests may share becomes its own.

Spec: libxl_types.idl of Xen 4.17 and 4.20.  Does not know the host: who calls chooses what is free there.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Protocol

from pyxl.errors import UsageError
from pyxl.formats.guest_config import GuestConfig

#: A vnc.listen with a display of its own: "0.0.0.0:1".
_LISTEN_DISPLAY = re.compile(r"(.+):[0-9]+", re.DOTALL)
#: A serial port on a file or socket of the host: qemu's "file:/path", "unix:/path,server", "pipe:/path".
_ON_PATH = re.compile(r"(file:|unix:|pipe:)([^,]+)(.*)", re.DOTALL)
#: A serial port that listens: "tcp:127.0.0.1:4444,server,nowait".
_ON_PORT = re.compile(r"((?:tcp|telnet):[^,]*:)([0-9]+)(,.*\bserver\b.*)", re.DOTALL)
#: Serial ports that any number of guests can have.
_SHARED = {"", "none", "null", "pty", "stdio", "vc"}


class Chooser(Protocol):
    """Chooses what no other guest of the host has."""

    def uuid(self) -> str: ...
    def generation_id(self) -> list[int]: ...
    def mac(self) -> str: ...
    def port(self, wanted: int) -> int: ...


def take_new_identity(config: GuestConfig, name: str, chooser: Chooser) -> None:
    """Have ``config`` be of another guest, called ``name``: uuid, generation id, MACs, ports, and files it writes to.

    Its disks stay: whoever calls gives it others.

    :raise UsageError: it has something that only one guest can have, and no other can be chosen.
    """
    document, old = config.document, config.name
    created, build = document["c_info"], document["b_info"]
    created["name"], created["uuid"] = name, chooser.uuid()
    created.pop("domid", None)
    config.renew_generation_id(chooser.generation_id())
    own = build.get(f"type.{config.type}")
    if isinstance(own, dict):
        _take_display(own.get("vnc"))
        _take_ports(own.get("spice"), chooser)
        for key, many in (("serial", False), ("serial_list", True)):
            if own.get(key):
                ports = [_serial(str(port), old, name, chooser) for port in _listed(own[key])]
                own[key] = ports if many else ports[0]
    for nic in _devices(document, "nics"):
        nic["mac"] = chooser.mac()
        nic.pop("ifname", None)
    for framebuffer in _devices(document, "vfbs"):
        _take_display(framebuffer.get("vnc"))
    for channel in _devices(document, "channels"):
        if isinstance(socket := channel.get("connection.socket"), dict) and socket.get("path"):
            socket["path"] = own_path(str(socket["path"]), old, name)
    for share in _devices(document, "p9s"):
        if share.get("path"):
            share["path"] = own_path(str(share["path"]), old, name)
    for kind, what in (("pcidevs", "a PCI device"), ("usbdevs", "a USB device"), ("vtpms", "a virtual TPM")):
        if document.get(kind):
            raise UsageError(f'"{old}" has {what}, which only one guest can have')


def own_path(path: str, old: str, new: str) -> str:
    """Return a path beside ``path`` for the guest ``new``: with its name for ``old``'s, or with it added."""
    whole = PurePosixPath(path)
    if re.search(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])", whole.name):
        return str(whole.with_name(re.sub(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])", new, whole.name)))
    return str(whole.with_name(f"{whole.stem}-{new}{whole.suffix}"))


def _take_display(vnc: object) -> None:
    """Have libxl look for a display that is free."""
    if not isinstance(vnc, dict):
        return
    match = _LISTEN_DISPLAY.fullmatch(str(vnc.get("listen", "")))
    if match:
        vnc["listen"] = match[1]
    if vnc.pop("display", None) or match or vnc.get("findunused") == "False":
        vnc["findunused"] = "True"


def _take_ports(spice: object, chooser: Chooser) -> None:
    if isinstance(spice, dict) and spice.get("enable") == "True":
        for key in ("port", "tls_port"):
            if isinstance(port := spice.get(key), int) and port > 0:
                spice[key] = chooser.port(port)


def _serial(port: str, old: str, new: str, chooser: Chooser) -> str:
    if match := _ON_PATH.fullmatch(port):
        return f"{match[1]}{own_path(match[2], old, new)}{match[3]}"
    if match := _ON_PORT.fullmatch(port):
        return f"{match[1]}{chooser.port(int(match[2]))}{match[3]}"
    if port in _SHARED:
        return port
    raise UsageError(f'"{old}" has the serial port {port}, which only one guest can have: `--set serial=…`')


def _devices(document: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (device for device in _listed(document.get(kind)) if isinstance(device, dict))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
