"""The JSON of a libxl_domain_config to xl.cfg text: the inverse of parse.py.

Follows xl.cfg(5) and the tables of options.py.  What xl.cfg, or pyxl's parser, has no option for goes
into comments at the end.  Does not know whether the config is valid.
"""

from __future__ import annotations

import json

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import cpuid, later, options, passthrough, pv_devices, values, vnuma, vsnd
from pyxl.formats.xlcfg.cpus import MAX_CPUS
from pyxl.formats.xlcfg.devices import NIC_STRINGS, NIC_TYPES
from pyxl.formats.xlcfg.disk import STRINGS as DISK_STRINGS
from pyxl.formats.xlcfg.lexer import ESCAPES
from pyxl.formats.xlcfg.options import ANY, BOOL, HVM, MIB, TABLE, VIRIDIAN, VIRIDIAN_WIDTH
from pyxl.model.releases import NEWEST, OLDEST

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from pyxl.model.releases import Series

BITS = {"True": 1, "False": 0}
NAMES = {libxl: xl for xl, libxl in options.ACTIONS.items()}
CARDS = {libxl: xl for xl, libxl in options.VGA.items()}
MODELS = {libxl: xl for xl, libxl in options.DEVICE_MODELS.items()}
TYPES = {libxl: xl for xl, libxl in NIC_TYPES.items()}
#: Some keys of a nic are two words for one member: the first is written.
NIC_KEYS = {member: key for key, member in reversed(NIC_STRINGS.items())}
UNESCAPED = {character: f"\\{letter}" for letter, character in ESCAPES.items() if letter != "'"}
#: Members that have the same name in b_info and in xl.cfg, and are not in the table of options.
PLAIN = ("max_grant_frames", "max_maptrack_frames", "max_grant_version", "kernel", "cmdline", "bootloader_args",
         "timer_mode", "vmtrace_buf_kb")  # fmt: skip


def text(document: Mapping[str, Any]) -> str:
    """Return an xl.cfg that ``parse`` turns into this config, except what its last comments name.

    :raise UsageError: no xl.cfg can say it.
    """
    try:
        lines = [f"{name} = {said}" for name, value in _Writer(document).settings() if (said := _said(value))]
        written = "\n".join(lines) + "\n"
        lost = _least_lost(document, written)
    except (UsageError, RecursionError, TypeError, AttributeError, ValueError, KeyError, IndexError) as error:
        raise UsageError(f"no xl.cfg can say this config: {error}") from error
    return written + "".join(f"# not in xl.cfg: {what}\n" for what in lost)


def _least_lost(document: Mapping[str, Any], written: str) -> list[str]:
    """Return what the newest Xen does not find in what was written, or the oldest, where that takes more of it."""
    from pyxl.formats.xlcfg.parse import parse

    def lost(series: Series) -> list[str]:
        return list(_lost(document, parse([("the config", written)], {"release": (*series, 0)}), ""))

    try:
        newest = lost(NEWEST)
    except UsageError:
        return lost(OLDEST)
    try:
        return min(newest, lost(OLDEST), key=len) if newest else newest
    except UsageError:
        return newest


class _Writer:
    """One config on its way to settings; a value that is not what libxl writes is left out."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._tree = document
        self._c_info: dict[str, Any] = document["c_info"]
        self._b_info: dict[str, Any] = document["b_info"]
        self._guest = str(self._c_info.get("type"))
        self._own: dict[str, Any] = self._b_info.get(f"type.{self._guest}", {})

    def settings(self) -> Iterator[tuple[str, object]]:
        yield "type", self._guest
        yield "name", self._c_info.get("name")
        yield "uuid", self._c_info.get("uuid")
        for table in (TABLE[ANY], TABLE.get(self._guest, {})):
            for name, (steps, kind, _) in table.items():
                yield name, _converted(_member(self._tree, steps), kind)
        yield from self._vcpus()
        yield from ((name, self._b_info.get(name)) for name in PLAIN)
        yield "device_model_version", MODELS.get(str(self._b_info.get("device_model_version")))
        yield from self._labels()
        if policies := self._b_info.get("cpuid"):
            # Before Xen 4.17 it was the array alone.
            yield "cpuid", cpuid.written({"cpuid": policies, "msr": []} if isinstance(policies, list) else policies)
        if self._guest == HVM:
            yield from self._hvm()
        for name, member, spec in (("disk", "disks", _disk), ("vif", "nics", _nic), ("vfb", "vfbs", _vfb)):
            devices = self._tree.get(member)
            yield name, None if devices is None else [spec(device) for device in devices]
        yield "pci", [passthrough.written(device, self._guest) for device in self._tree.get("pcidevs", [])] or None
        yield "vnuma", vnuma.written(self._b_info, _ranges) if self._b_info.get("vnuma_nodes") else None
        yield "vsnd", [vsnd.written(card) for card in self._tree.get("vsnds", [])] or None
        yield "dtdev", [device.get("path") for device in self._tree.get("dtdevs", [])] or None
        yield from passthrough.written_resources(self._b_info).items()
        yield from later.written(self._b_info).items()
        for name, (member, _) in pv_devices.DEVICES.items():
            # A framebuffer brings its keyboard with it.
            devices = self._tree.get(member, [])[len(self._tree.get("vfbs", [])) if name == "vkb" else 0 :]
            yield name, [pv_devices.written(name, device) for device in devices] or None
        for name in options.ON_SHUTDOWN:
            yield name, NAMES.get(self._tree.get(name, "destroy"))

    def _vcpus(self) -> Iterator[tuple[str, object]]:
        online = self._b_info.get("avail_vcpus")
        yield "vcpus", len(online) if online else None
        yield "maxvcpus", self._b_info.get("max_vcpus")
        for name, member in (("cpus", "vcpu_hard_affinity"), ("cpus_soft", "vcpu_soft_affinity")):
            lists = [_ranges(cpus) for cpus in self._b_info.get(member, [])]
            # As a list it also tells libxl not to place the guest by itself.
            as_one = len(set(lists)) == 1 and self._b_info.get("numa_placement") != "False"
            yield name, (lists[0] if as_one else lists) if lists else None

    def _labels(self) -> Iterator[tuple[str, object]]:
        starts, runs = self._c_info.get("ssid_label"), self._b_info.get("exec_ssid_label")
        yield "init_seclabel", starts if runs else None
        yield "seclabel", runs or starts

    def _hvm(self) -> Iterator[tuple[str, object]]:
        own = self._own
        yield "firmware_override", own.get("firmware")
        yield "mmio_hole", _converted(own.get("mmio_hole_memkb"), MIB)
        yield "rdm", "strategy=host" if _member(own, ("rdm", "strategy")) == "host" else None
        yield "mca_caps", [name for name, bit in options.MCA_CAPS.items() if own.get("mca_caps", 0) & bit] or None
        yield "vga", CARDS.get(_member(own, ("vga", "kind")))
        yield "gfx_passthru", own.get("gfx_passthru_kind") or _converted(own.get("gfx_passthru"), BOOL)
        for name in ("serial", "usbdevice"):
            yield name, own.get(f"{name}_list") or own.get(name)
        if "viridian_enable" in own or "viridian_disable" in own:
            yield "viridian", self._viridian()
        else:
            yield "viridian", _converted(own.get("viridian"), BOOL)

    def _viridian(self) -> list[str]:
        enable, disable = self._own.get("viridian_enable", []), self._own.get("viridian_disable", [])
        words = ["defaults"] if self._own.get("viridian") == "True" else []
        if len({*enable, *disable}) == VIRIDIAN_WIDTH:
            words.append("all")
        else:
            words += [VIRIDIAN[bit] for bit in enable if bit < len(VIRIDIAN)]
        return words + [f"!{VIRIDIAN[bit]}" for bit in disable if bit < len(VIRIDIAN)]


def _disk(disk: Mapping[str, Any]) -> str:
    words = [f"{key}={disk[member]}" for key, member in (("format", "format"), ("vdev", "vdev")) if member in disk]
    if disk.get("is_cdrom"):
        words.append("cdrom")
    elif "is_cdrom" in disk:
        words.append("devtype=disk")
    words.append("access=rw" if disk.get("readwrite") else "access=ro")
    others = {**DISK_STRINGS, "backendtype": "backend", "specification": "specification"}
    words += [f"{key}={disk[member]}" for key, member in others.items() if member in disk and key != "vdev"]
    if disk.get("direct_io_safe"):
        words.append("direct-io-safe")
    switches = {
        "discard_enable": ("discard", "no-discard"), "trusted": ("trusted", "untrusted"),
        "colo_enable": ("colo", "no-colo"),
    }  # fmt: skip
    words += [on if disk[member] == "True" else off for member, (on, off) in switches.items() if member in disk]
    # It takes the rest of the string; a comma at the end does not belong to it.
    target = disk.get("pdev_path")
    if target is not None:
        words.append(f"target={target}," if str(target).endswith(",") else f"target={target}")
    return ", ".join(words)


def _nic(nic: Mapping[str, Any]) -> str:
    words = [f"{key}={nic[key]}" for key in ("mac", "devid", "mtu") if key in nic]
    words += [f"{key}={nic[member]}" for member, key in NIC_KEYS.items() if member in nic]
    if "nictype" in nic:
        words.append(f"type={TYPES.get(nic['nictype'], '')}")
    if "trusted" in nic:
        words.append("trusted" if nic["trusted"] == "True" else "untrusted")
    if interval := nic.get("rate_interval_usecs"):
        words.append(f"rate={-(-nic['rate_bytes_per_interval'] * 1000000 // interval)}B/s@{interval}us")
    return ", ".join(words)


def _vfb(vfb: Mapping[str, Any]) -> str:
    vnc, sdl = vfb.get("vnc", {}), vfb.get("sdl", {})
    words = {
        "vnc": BITS.get(vnc.get("enable")), "vnclisten": vnc.get("listen"), "vncpasswd": vnc.get("passwd"),
        "vncdisplay": vnc.get("display"), "vncunused": BITS.get(vnc.get("findunused")), "keymap": vfb.get("keymap"),
        "sdl": BITS.get(sdl.get("enable")), "opengl": BITS.get(sdl.get("opengl")), "display": sdl.get("display"),
        "xauthority": sdl.get("xauthority"),
    }  # fmt: skip
    return ", ".join(f"{key}={value}" for key, value in words.items() if value is not None)


def _ranges(cpus: list[int]) -> str:
    """Return "0-3,6" for the numbers of a CPU map."""
    ranges: list[tuple[int, int]] = []
    for cpu in cpus[:MAX_CPUS]:
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], cpu)
        else:
            ranges.append((cpu, cpu))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _member(tree: Mapping[str, Any], steps: tuple[str, ...]) -> Any:
    for step in steps[:-1]:
        tree = tree.get(step, {})
    return tree.get(steps[-1])


def _converted(value: Any, kind: str) -> object:
    """Return what xl.cfg has for a value of libxl's JSON of this kind; None where it has nothing."""
    if kind == BOOL:
        return BITS.get(value) if isinstance(value, str) else None
    if kind == MIB:
        return value // 1024 if isinstance(value, int) and value <= values.INT32_MAX * 1024 else None
    return value


def _said(value: object) -> str | None:
    """Return a value as xl.cfg writes it; None for what it cannot write."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if value >= 0 else f'"{value}"'
    if isinstance(value, str):
        inside = "".join(UNESCAPED.get(character, character) for character in value)
        return f'"{inside}"' if inside.isprintable() else None
    if isinstance(value, list):
        items = [_said(item) for item in value]
        if all(items):
            lines = "".join(f"    {item},\n" for item in items)
            return f"[\n{lines}]" if len(items) > 1 else f"[{''.join(map(str, items))}]"
    return None


def _lost(wanted: Any, found: Any, path: str) -> Iterator[str]:
    """Yield each member of ``wanted`` that ``found`` lacks, as one line."""
    if isinstance(wanted, dict) and (isinstance(found, dict) or not wanted):
        for name, value in wanted.items():
            yield from _lost(value, found.get(name), f"{path}.{name}" if path else name)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _lost(one, other, f"{path}[{index}]")
    elif wanted != found and wanted not in ("<default>", [], None):
        yield f"{json.dumps(path)[1:-1]} = {json.dumps(wanted)}"
