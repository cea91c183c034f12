"""What differs between the config in a checkpoint and one that is to take its place, as far as the guest is concerned.

Spec: libxl_types.idl of Xen 4.17.  Knows both configs as libxl's JSON.  What one of them leaves open is libxl's to
choose, and no difference.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

#: Members of b_info and of its part for HVM that make the machine whose device state is in the file.
_MACHINE = (
    "device_model_version", "bios", "hdtype", "vga.kind", "xen_platform_pci", "usb", "usbdevice", "usbdevice_list",
    "usbversion", "soundhw", "gfx_passthru", "gfx_passthru_kind", "vkb_device", "spice.vdagent", "spice.usbredirection",
)  # fmt: skip
#: What the guest's kernel has looked at once, and would find changed.
_NOTICED = (
    "apic", "acpi", "acpi_s3", "acpi_s4", "pae", "hpet", "nested_hvm", "altp2m", "viridian", "viridian_enable",
    "tsc_mode", "timer_mode", "mmio_hole_memkb", "rdm.strategy", "rdm_mem_boundary_memkb",
    "mca_caps", "nomigrate", "disable_migrate",
)  # fmt: skip
#: Devices of which nothing is in the device state: the guest's drivers meet what the config has.
_REPLACED = ("channels", "p9s", "pvcallsifs", "usbctrls", "usbdevs", "vdispls", "vsnds", "vtpms")


class Difference(NamedTuple):
    """One key whose value in the checkpoint is ``saved`` and would be ``given``; a ``fatal`` one cannot work."""

    key: str
    saved: object
    given: object
    fatal: bool

    def __str__(self) -> str:
        return f"{self.key} is {self.saved} in the checkpoint, and {self.given} in the config"


def differences(saved: dict[str, Any], given: dict[str, Any]) -> Iterator[Difference]:
    """Yield what a guest of the config ``saved`` would find changed with the config ``given``."""
    yield from _other("type", saved["c_info"].get("type"), given["c_info"].get("type"), fatal=True)
    old, new = saved["b_info"], given["b_info"]
    had, gets = _number(old, "max_vcpus") or 1, _number(new, "max_vcpus") or 1
    yield from _other("vcpus", had, gets, fatal=gets < had)
    had = _number(old, "target_memkb") or _number(old, "max_memkb")
    gets = _number(new, "max_memkb") or _number(new, "target_memkb")
    if 0 < gets < had:
        yield Difference("memory", f"{had >> 10} MiB", f"{gets >> 10} MiB", True)
    for keys, fatal in ((_MACHINE, True), (_NOTICED, False)):
        for key in keys:
            yield from _other(key, _member(old, key), _member(new, key), fatal=fatal)
    for kind in ("disks", "nics"):
        yield from _devices(kind, saved.get(kind), given.get(kind), emulated=saved["c_info"].get("type") == "hvm")
    for kind in _REPLACED:
        yield from _devices(kind, saved.get(kind), given.get(kind), emulated=False)


def _other(key: str, saved: object, given: object, *, fatal: bool) -> Iterator[Difference]:
    if saved is not None and given is not None and saved != given:
        yield Difference(key, saved, given, fatal)


def _number(build: dict[str, Any], key: str) -> int:
    """Return a number, 0 where there is none: anybody may have made the checkpoint."""
    value = build.get(key)
    return value if isinstance(value, int) else 0


def _member(build: dict[str, Any], key: str) -> object:
    """Return a member of b_info or of its part for HVM, by a path with dots."""
    for part in (build, build.get("type.hvm")):
        value: object = part
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _devices(kind: str, saved: object, given: object, *, emulated: bool) -> Iterator[Difference]:
    """Compare disks by their vdev, and NICs by their number: the emulated ones are in the device state."""
    key = "vdev" if kind == "disks" else "devid"
    old, new = _names(saved, key), _names(given, key)
    if old != new:
        yield Difference(kind, ", ".join(old) or "none", ", ".join(new) or "none", emulated)


def _names(devices: object, key: str) -> list[str]:
    listed = devices if isinstance(devices, list) else []
    return sorted(str(device.get(key, number)) for number, device in enumerate(listed) if isinstance(device, dict))
