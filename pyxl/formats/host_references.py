"""What a guest's config names on its host: programs, files, hardware, and words for qemu's command line.

Spec: libxl_types.idl of Xen 4.17.  Does not look at the host, and does not judge.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

SCRIPTS = "/etc/xen/scripts"
#: Serial ports and USB devices that name nothing on the host.
_HARMLESS = {"", "none", "null", "pty", "stdio", "vc", "tablet", "mouse", "keyboard"}

#: A serial port that is logged where Xen's programs log anyway.
_LOG = re.compile(r"file:/var/log/xen/[\w.-]+", re.ASCII)


class Kind(Enum):
    """What the host does with a reference; the value is shown to the user."""

    PROGRAM = "program, run as root"
    ARGUMENTS = "words for a program that is run as root"
    HARDWARE = "hardware of the host, handed to the guest"
    FILE = "file, opened as root"


class Reference(NamedTuple):
    """One thing on the host: ``what`` it is to the guest, and its path or its words."""

    what: str
    path: str
    kind: Kind


_BUILD = (
    ("device_model", Kind.PROGRAM), ("bootloader", Kind.PROGRAM), ("bootloader_args", Kind.ARGUMENTS),
    ("extra", Kind.ARGUMENTS), ("extra_pv", Kind.ARGUMENTS), ("extra_hvm", Kind.ARGUMENTS),
    ("iomem", Kind.HARDWARE), ("ioports", Kind.HARDWARE), ("irqs", Kind.HARDWARE),
    ("kernel", Kind.FILE), ("ramdisk", Kind.FILE), ("device_tree", Kind.FILE),
    ("stubdomain_kernel", Kind.FILE), ("stubdomain_ramdisk", Kind.FILE),
)  # fmt: skip
#: Members of the part for one type of guest; some are an older place of what is in _BUILD.
_TYPED = (
    *_BUILD, ("firmware", Kind.FILE), ("system_firmware", Kind.FILE), ("smbios_firmware", Kind.FILE),
    ("acpi_firmware", Kind.FILE), ("pvshim_path", Kind.FILE),
)  # fmt: skip
#: (array, member, kind) of devices.
_DEVICES = (
    ("disks", "pdev_path", Kind.FILE), ("disks", "script", Kind.PROGRAM), ("nics", "script", Kind.PROGRAM),
    ("p9s", "path", Kind.FILE), ("dtdevs", "path", Kind.HARDWARE),
)  # fmt: skip
#: Members that libxl puts between the commas of a qemu option: one with a comma is more options.
_OPTIONS = {
    "disks": ("pdev_path", "vdev"), "nics": ("model", "ifname", "bridge"), "channels": ("name",),
    "vnc": ("listen",), "spice": ("host", "passwd", "image_compression", "streaming_video"),
}  # fmt: skip


def references(document: dict[str, Any]) -> Iterator[Reference]:
    """Yield all that the JSON of a config names on its host."""
    build = document["b_info"]
    yield from _members("", build, _BUILD)
    for key, part in build.items():
        if key.startswith("type.") and isinstance(part, dict):
            yield from _members("", part, _TYPED)
            yield from _emulated(part)
    for array, member, kind in _DEVICES:
        for device in _devices(document, array):
            yield from _members(_device(array, device), device, ((member, kind),))
    for channel in _devices(document, "channels"):
        yield from _members("channel", channel.get("connection.socket"), (("path", Kind.FILE),))
    for array in ("pcidevs", "usbdevs"):
        for device in _devices(document, array):
            yield Reference(array[:-1], " ".join(f"{key}={value}" for key, value in device.items()), Kind.HARDWARE)
    for array in ("disks", "nics", "channels"):
        for device in _devices(document, array):
            yield from _with_comma(_device(array, device), device, _OPTIONS[array])


def texts(value: object) -> Iterator[str]:
    """Yield every string in a config's JSON, also the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member)


def _emulated(part: dict[str, Any]) -> Iterator[Reference]:
    """Yield what the emulated devices of an HVM guest name."""
    for key in ("serial", "serial_list", "usbdevice", "usbdevice_list"):
        for words in _listed(part.get(key)):
            if _LOG.fullmatch(words):
                yield Reference(key, words.removeprefix("file:"), Kind.FILE)
            elif words not in _HARMLESS:
                yield Reference(key, words, Kind.ARGUMENTS)
    if part.get("gfx_passthru") == "True":
        yield Reference("gfx_passthru", str(part.get("gfx_passthru_kind", "default")), Kind.HARDWARE)
    yield from _with_comma("", part, ("keymap", "boot"))
    for key in ("vnc", "spice"):
        yield from _with_comma(key, part.get(key), _OPTIONS[key])


def _members(what: str, part: object, members: tuple[tuple[str, Kind], ...]) -> Iterator[Reference]:
    if not isinstance(part, dict):
        return
    for key, kind in members:
        if kind is Kind.FILE and key == "pdev_path" and (part.get("script") or part.get("backend_domname")):
            continue  # a block script's target and another domain's disk are no paths of this host
        value = part.get(key)
        if not value or (kind is not Kind.ARGUMENTS and kind is not Kind.HARDWARE and not isinstance(value, str)):
            continue
        name = what if key in ("pdev_path", "path") else f"{what} {key}".lstrip()
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        if key == "script" and not text.startswith("/"):
            text = f"{SCRIPTS}/{text}"
        yield Reference(name, text, kind)


def _with_comma(what: str, part: object, keys: tuple[str, ...]) -> Iterator[Reference]:
    for key in keys:
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str) and "," in value:
            yield Reference(f"{what} {key}".lstrip(), value, Kind.ARGUMENTS)


def _device(array: str, device: dict[str, Any]) -> str:
    return f"disk {device.get('vdev', '?')}" if array == "disks" else array[:-1]


def _devices(document: dict[str, Any], array: str) -> list[dict[str, Any]]:
    found = document.get(array)
    return [device for device in found if isinstance(device, dict)] if isinstance(found, list) else []


def _listed(value: object) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value]) if item is not None]
