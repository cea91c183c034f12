"""What another guest from the same checkpoint gets of this host: names, numbers and addresses that nobody else has."""

import secrets
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.ports import Store

#: Xen's part of all MAC addresses.
_XEN_S = "00:16:3e"
_GENERATION_ID_BYTES = 16
_MOST_PORT = 65535


class Chooser:
    """Chooses for the guests of one command, none of which gets what another has."""

    def __init__(self, store: Store) -> None:
        self._macs = set(_macs(store))
        self._ports: set[int] = set()

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def generation_id(self) -> list[int]:
        """Return random bytes: a Windows domain controller compares them, and nobody reads an order into them."""
        return list(secrets.token_bytes(_GENERATION_ID_BYTES))

    def mac(self) -> str:
        """Return a MAC of Xen's that no NIC of this host's guests has."""
        while True:
            octets = secrets.token_bytes(3)
            mac = f"{_XEN_S}:{octets[0] & 0x7F:02x}:{octets[1]:02x}:{octets[2]:02x}"
            if mac not in self._macs:
                self._macs.add(mac)
                return mac

    def port(self, wanted: int) -> int:
        """Return a TCP port above ``wanted`` that nobody listens on.

        :raise PyxlError: there is none.
        """
        for port in range(wanted + 1, _MOST_PORT + 1):
            if port not in self._ports and _is_free(port):
                self._ports.add(port)
                return port
        raise PyxlError(f"no TCP port above {wanted} is free on this host")


def give_disk(config: GuestConfig, vdev: str, path: Path) -> None:
    """Have the disk ``vdev`` be another file or device of this host.

    :raise UsageError: the guest has no such disk, or the file is not there.
    """
    if not path.exists():
        raise UsageError(f"--disk {vdev}: there is no {path}")
    config.use_disk(vdev, str(path.absolute()), _format_of(path))


def _format_of(path: Path) -> str:
    """Return how libxl calls the format of a disk."""
    with path.open("rb") as file:
        return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"


def _macs(store: Store) -> list[str]:
    found = []
    for domid in store.children(paths.backends("vif")):
        for devid in store.children(f"{paths.backends('vif')}/{domid}"):
            if mac := store.read(f"{paths.backends('vif')}/{domid}/{devid}/mac"):
                found.append(mac.lower())
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", port))
        return True
    return False
