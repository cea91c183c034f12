"""What pyxl itself reads and sets in a guest's config: the JSON of a libxl_domain_config.

Spec: xen-spec.md 1.4.  Does not know xl.cfg (formats/xlcfg does), files, or whether libxl will like the config.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pyxl.errors import UsageError

if TYPE_CHECKING:
    from pyxl.formats.host_references import Reference

#: on_… keys, and what libxl means when one is absent.
DEFAULT_ACTION = "destroy"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
#: libxl keeps numbers in 64 bits at most.
_MAX_NUMBER = (1 << 63) - 1
#: What libxl lets a guest have beyond its target, in KiB (LIBXL_MAXMEM_CONSTANT).
MAXMEM_SLACK_KB = 1024
#: Far more than libxl's own, and a limit for everything that recurses into a config.
_MAX_DEPTH = 32
_HOST_FILES = ("kernel", "ramdisk", "device_model", "bootloader")


class GuestConfig:
    """One guest's config.

    :raise UsageError: not JSON, or without the members that every config has.
    """

    def __init__(self, text: str, origin: str) -> None:
        try:
            document = json.loads(text)
            created, build = document["c_info"], document["b_info"]
            if not isinstance(created, dict) or not isinstance(build, dict) or _is_deeper(document, _MAX_DEPTH):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UsageError(f"{origin}: the guest's config is not one that libxl writes") from error
        self._document: dict[str, Any] = document
        self._created: dict[str, Any] = created
        self._build: dict[str, Any] = build
        name = created.get("name")
        if not isinstance(name, str) or not name:
            raise UsageError(f"{origin}: the guest's config has no name")
        uuid = created.get("uuid", "")
        if not isinstance(uuid, str) or (uuid and not _UUID.fullmatch(uuid)):
            raise UsageError(f"{origin}: the guest's config has a uuid that is none")

    @property
    def name(self) -> str:
        return str(self._created.get("name", ""))

    @property
    def uuid(self) -> str:
        """The guest's uuid, 36 hexadecimal digits and dashes in lower case; empty where the config leaves it open."""
        return str(self._created.get("uuid", "")).lower()

    @property
    def type(self) -> str:
        return str(self._created.get("type", "invalid"))

    @property
    def vcpus(self) -> int:
        """How many vcpus the guest can have; 0 where the config leaves it open."""
        return self._number("max_vcpus")

    @property
    def target_kb(self) -> int:
        """Memory that the guest should have, in KiB; 0 where the config leaves it open."""
        return self._number("target_memkb")

    @property
    def most_kb(self) -> int:
        """Memory that the guest has with an empty balloon, in KiB; 0 where the config leaves it open."""
        return self._number("max_memkb")

    @property
    def document(self) -> dict[str, Any]:
        """The config as libxl knows it."""
        return self._document

    def host_files(self) -> list[tuple[str, str]]:
        """Return (what it is, path) for each file of this host that the guest needs to start."""
        files = [(key, self._build[key]) for key in _HOST_FILES if isinstance(self._build.get(key), str)]
        return files + [(f"disk {vdev}", path) for vdev, path, _ in self.disks()]

    def disks(self) -> list[tuple[str, str, bool]]:
        """Return (vdev, path, may the guest write to it) for each disk that is a file or device of this host."""
        found = []
        for disk in self._devices("disks"):
            path = disk.get("pdev_path")
            # A block script's target (iscsi, rbd, drbd) and another domain's disk are no paths of this host.
            elsewhere = disk.get("script") or disk.get("backend_domname")
            if isinstance(path, str) and path and not elsewhere:
                found.append((str(disk.get("vdev", "?")), path, bool(disk.get("readwrite"))))
        return found

    def disks_elsewhere(self) -> list[str]:
        """Return the disks that the guest may write to and that are no file or device of this host."""
        here = {vdev for vdev, _, _ in self.disks()}
        written = [str(disk.get("vdev", "?")) for disk in self._devices("disks") if disk.get("readwrite")]
        return [vdev for vdev in written if vdev not in here]

    def use_disk(self, vdev: str, path: str, format: str) -> None:
        """Have the disk ``vdev`` be another file or device, whose backend libxl chooses.

        :raise UsageError: the guest has no such disk.
        """
        for disk in self._devices("disks"):
            if disk.get("vdev") == vdev:
                disk.pop("backend", None)
                disk.update(pdev_path=path, format=format)
                return
        its = ", ".join(str(disk.get("vdev")) for disk in self._devices("disks")) or "none"
        raise UsageError(f'"{self.name}" has no disk {vdev}: its disks are {its}')

    def disk_format(self, vdev: str) -> str:
        """Return libxl's name of the format of a disk; raw where the config leaves it open."""
        its = next((disk for disk in self._devices("disks") if disk.get("vdev") == vdev), {})
        return str(its.get("format") or "raw")

    def renew_generation_id(self, value: list[int]) -> None:
        """Give an HVM guest that has a generation id another one."""
        own = self._build.get(f"type.{self.type}")
        if isinstance(own, dict) and isinstance(there := own.get("ms_vm_genid"), list) and any(there):
            own["ms_vm_genid"] = value

    def use_mac(self, devid: int, mac: str) -> None:
        """Give the NIC ``devid`` another MAC.

        :raise UsageError: the guest has no such NIC.
        """
        for number, nic in enumerate(self._devices("nics")):
            if nic.get("devid", number) == devid:
                nic["mac"] = mac
                return
        raise UsageError(f'"{self.name}" has no NIC {devid}')

    def rename(self, name: str) -> None:
        self._created["name"] = name

    def passed_through(self) -> list[str]:
        """Return the devices of this host that are passed through to the guest, as "PCI 0000:03:00.0"."""
        pci = [
            f"PCI {d.get('domain', 0):04x}:{d.get('bus', 0):02x}:{d.get('dev', 0):02x}.{d.get('func', 0):x}"
            for d in self._devices("pcidevs")
        ]
        return pci + [f"USB {d.get('ctrl', 0)}.{d.get('port', 0)}" for d in self._devices("usbdevs")]

    def late_controllers(self) -> list[str]:
        """Return the USB controllers that libxl adds to a device model once that runs."""
        late = [each for each in self._devices("usbctrls") if each.get("type", "auto") in ("auto", "devicemodel")]
        return [f"usbctrl {each.get('devid', 0)}" for each in late] if self.type == "hvm" else []

    @property
    def has_vnuma(self) -> bool:
        """Whether the guest has a NUMA topology of its own."""
        return bool(self._build.get("vnuma_nodes"))

    def references(self) -> "Iterator[Reference]":
        """Yield all that the guest would make this host run, open or hand over."""
        from pyxl.formats.host_references import references

        return references(self._document)

    def texts(self) -> Iterator[str]:
        """Yield every string of the config, also the names of members."""
        from pyxl.formats.host_references import texts

        return texts(self._document)

    def use_device_model(self, path: str) -> None:
        """Have ``path`` run in place of libxl's own device model.

        :raise UsageError: the guest has none, or the config names another one.
        """
        if self.type != "hvm":
            raise UsageError(f'"{self.name}" is a {self.type} guest: it has no device model to control')
        there = self._build.get("device_model")
        if there and PurePosixPath(there).name != PurePosixPath(path).name:
            raise UsageError(f'"{self.name}" has a device model of its own already: device_model_override = "{there}"')
        self._build["device_model"] = path

    def use_own_device_model(self, name: str) -> None:
        """Let libxl start its own device model, if the program called ``name`` was to run in its place."""
        if PurePosixPath(self._build.get("device_model") or "").name == name:
            del self._build["device_model"]

    def give_memory(self, kb: int) -> bool:
        """Give the guest at least ``kb`` KiB, and tell whether it would have got less: then it would not fit."""
        if kb <= self.target_kb + MAXMEM_SLACK_KB:
            return False
        most = self.most_kb
        self._build["target_memkb"] = most if kb <= most + MAXMEM_SLACK_KB else kb
        self._build["max_memkb"] = max(most, self.target_kb)
        return True

    def fit_memory(self, kb: int) -> tuple[int, int, int] | None:
        """Give the guest ``kb`` KiB where it would get less, and return what it has, was to have and gets, in MiB.

        A config that leaves its memory open stays as it is.
        """
        wanted = self.target_kb
        if not wanted or not self.give_memory(kb):
            return None
        return round(kb / 1024), round(wanted / 1024), round(self.target_kb / 1024)

    @property
    def placement(self) -> tuple[str, list[list[int]]]:
        """The cpupool that the guest runs in (empty: the host's own), and the CPUs that each vcpu is pinned to.

        Anybody may have made the config: what is not of libxl's shape is as if it were not there.
        """
        pool = self._created.get("pool_name")
        pins: Any = self._build.get("vcpu_hard_affinity")
        lists = isinstance(pins, list) and all(isinstance(cpus, list) for cpus in pins)
        numbers = lists and all(isinstance(cpu, int) for cpus in pins for cpu in cpus)
        return pool if isinstance(pool, str) else "", pins if numbers else []

    def place(self, pool: str, pins: list[list[int]]) -> None:
        """Have the guest run in the cpupool ``pool`` (empty: the host's own), each vcpu on its CPUs in ``pins``."""
        for part, key, value in ((self._created, "pool_name", pool), (self._build, "vcpu_hard_affinity", pins)):
            part.pop(key, None)
            if value:
                part[key] = value

    def action(self, event: str) -> str:
        """Return the action of ``on_poweroff``, ``on_reboot``, … by libxl's name."""
        return str(self._document.get(event, DEFAULT_ACTION))

    def set_domid(self, domid: int) -> None:
        """Ask for this domid at the next restore; 0 asks for a new one."""
        self._created.pop("domid", None)
        if domid:
            self._created["domid"] = domid

    def new_uuid(self) -> None:
        import uuid

        self._created["uuid"] = str(uuid.uuid4())

    def to_json(self) -> str:
        """Return the config as xl lays it out: four spaces, a newline at the end."""
        return json.dumps(self._document, indent=4) + "\n"

    def _devices(self, kind: str) -> list[dict[str, Any]]:
        listed = self._document.get(kind)
        return [device for device in listed if isinstance(device, dict)] if isinstance(listed, list) else []

    def _number(self, key: str) -> int:
        value = self._build.get(key)
        return value if isinstance(value, int) and 0 <= value <= _MAX_NUMBER else 0


def _is_deeper(value: Any, depth: int) -> bool:
    """Return whether lists and objects in ``value`` are nested more than ``depth`` deep."""
    if not isinstance(value, dict | list):
        return False
    each = value.values() if isinstance(value, dict) else value
    return not depth or any(_is_deeper(inner, depth - 1) for inner in each)
