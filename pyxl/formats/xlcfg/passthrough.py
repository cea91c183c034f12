"""What of the host's hardware a guest gets: `pci`, `rdm`, `dtdev`, `ioports`, `irqs`, `iomem`; and back.

Follows xl.cfg(5), xl-pci-configuration(5) and libxlutil 4.17.  Does not know the host: whether a device is there, and
may be given away, is found out when the guest is built.
"""

from __future__ import annotations

import re

from pyxl.formats.xlcfg.spec import Spec, c_unsigned
from pyxl.formats.xlcfg.values import UINT32_MAX, number, text, texts

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting
    from pyxl.model.releases import Release

#: Options of a device that are on or off; `pci_…` says the same of all.
FLAGS = ("msitranslate", "power_mgmt", "permissive", "seize")
POLICIES = ("strict", "relaxed")
#: libxl's word for no policy.
OPEN_POLICY = "invalid"
#: What xl leaves in the devices of other guests than HVM.
UNASKED_POLICY = "strict"
KEYS = ("bdf", "vslot", *FLAGS, "rdm_policy", "name")
#: As C's %x reads it.
HEX = r"[ \t-\r]*[+-]?(?:0[xX])?[0-9a-fA-F]+"
BDF = re.compile(rf"(?:([0-9a-fA-F]+):)?([0-9a-fA-F]+):({HEX})\.(\*|{HEX})")
BDF_LIMITS = (0xFFFF, 0xFF, 0x1F, 7)
MAX_VSLOT = 0x1F
#: libxl's mark for all functions of a device, and for the one that is named.
ALL_FUNCTIONS, ONE_FUNCTION = UINT32_MAX, 1
IOMEM = re.compile(rf"({HEX}),({HEX})(?:@({HEX}))?")


def add(
    tree: dict[str, Any], settings: Mapping[str, Setting], warn: Callable[[str], None], release: Release
) -> None:
    """Put the hardware that ``settings`` name into the config ``tree``.

    :raise UsageError: a bad specification.
    """
    build, guest = tree["b_info"], tree["c_info"]["type"]
    if (setting := settings.get("rdm")) and _is_strategy(setting, warn) and guest == "hvm":
        build["type.hvm"]["rdm"]["strategy"] = "host"
    if setting := settings.get("pci"):
        common: dict[str, Any] = {
            key: True for key in FLAGS if (flag := settings.get(f"pci_{key}")) and number(flag) & UINT32_MAX
        }
        if guest != "hvm":
            common["rdm_policy"] = UNASKED_POLICY
        devices = [_pci(Spec("pci", spec, warn), common) for spec in texts(setting)]
        if devices:
            tree["pcidevs"] = devices
        if devices and guest == "pv":
            build["type.pv"]["e820_host"] = "True"
    if (setting := settings.get("dtdev")) and (paths := texts(setting)):
        tree["dtdevs"] = [{"path": path} for path in paths]
    readers: dict[str, Callable[[Spec], object]] = {"ioports": _ports, "irqs": _irq, "iomem": _memory}
    for option, read in readers.items():
        if (setting := settings.get(option)) and (specs := texts(setting)):
            build[option] = [read(Spec(option, spec, warn)) for spec in specs]


def _is_strategy(setting: Setting, warn: Callable[[str], None]) -> bool:
    """Return whether `rdm` asks for the strategy "host" in the one form that xl 4.17 heeds."""
    words = text(setting).split(",")
    heeded = "strategy=host" in words and all(
        word == "strategy=host" or (word.startswith("policy=") and word[7:].lower() not in (*POLICIES, OPEN_POLICY))
        for word in words
    )
    if words != ["strategy=host"]:
        ignored = "is ignored but for its strategy" if heeded else "is ignored"
        warn(f'{setting.place}: "rdm" {ignored}: xl heeds "strategy=host" alone; each device has its own rdm_policy=')
    return heeded


def _pci(spec: Spec, common: Mapping[str, Any]) -> dict[str, Any]:
    device = dict(common)
    rest = str(spec.text)
    where = BDF.match(rest)
    if where and (functions := _functions(where)):
        device.update(functions)
        rest = rest[where.end() :]
        if rest.startswith("@"):
            slot, rest = c_unsigned(rest[1:], 16) or (MAX_VSLOT + 1, rest)
            device["vdevfn"] = _slot(spec, slot)
        if rest and not rest.startswith(","):
            raise spec.error(f'"{rest}" follows the device: its options are key=value, after commas')
        rest = rest.removeprefix(",")
    named = False
    while rest:
        key, equals, rest = rest.partition("=")
        value, _, rest = rest.partition(",")
        if not equals:
            raise spec.error(f'"{key}" is neither BUS:DEVICE.FUNCTION, such as 00:1b.0, nor key=value')
        if key == "bdf":
            where = BDF.match(value)
            device.update((where and _functions(where)) or {})
            if not where or not _functions(where):
                raise spec.error(f'bdf is such as 0000:00:1b.0, not "{value}"')
        elif key == "vslot":
            slot, _ = c_unsigned(value, 16) or (MAX_VSLOT + 1, "")
            device["vdevfn"] = _slot(spec, slot)
        elif key in FLAGS:
            device[key] = bool(spec.signed(key, value))
        elif key == "rdm_policy":
            device[key] = spec.choice(key, value, (*POLICIES, OPEN_POLICY))
            if device[key] == OPEN_POLICY:
                del device[key]
        elif key == "name":
            device["name"] = value
            named = True
        else:
            raise spec.error(f'unknown key "{key}": it is none of {", ".join(KEYS)}')
    if named == ("vfunc_mask" in device):
        raise spec.error("a device has either an address, such as 00:1b.0, or name=")
    return device


def _functions(where: re.Match[str]) -> dict[str, int] | None:
    """Return the members for an address; None where a part of it is too large."""
    parts = [int(part or "0", 16) for part in where.groups()[:3]]
    every = where.group(4) == "*"
    parts.append(0 if every else int(where.group(4), 16))
    if any(not 0 <= part <= limit for part, limit in zip(parts, BDF_LIMITS, strict=True)):
        return None
    mask = ALL_FUNCTIONS if every else ONE_FUNCTION
    return {**dict(zip(("domain", "bus", "dev", "func"), parts, strict=True)), "vfunc_mask": mask}


def _slot(spec: Spec, slot: int) -> int:
    if slot > MAX_VSLOT:
        raise spec.error(f"the slot in the guest is a hexadecimal number up to {MAX_VSLOT:x}")
    return slot << 3


def _ports(spec: Spec) -> dict[str, int]:
    first, rest = c_unsigned(spec.text, 16) or (UINT32_MAX, "")
    last = first
    if rest.startswith("-"):
        last, rest = c_unsigned(rest[1:], 16) or (UINT32_MAX, "")
        if rest:
            last = UINT32_MAX
    elif rest:
        spec.say(f'"{rest}" is ignored: ports are such as 2f8 or 2f8-2ff')
    if not first <= last < UINT32_MAX:
        raise spec.error("ports are hexadecimal, one or FIRST-LAST, such as 2f8-2ff")
    return {"first": first, "number": last - first + 1}


def _irq(spec: Spec) -> int:
    irq, rest = c_unsigned(spec.text, 10) or (UINT32_MAX, "")
    if rest or irq >= UINT32_MAX:
        raise spec.error("an interrupt is a decimal number, such as 5")
    return irq


def _memory(spec: Spec) -> dict[str, int]:
    match = IOMEM.fullmatch(spec.text)
    if match is None:
        raise spec.error("memory is START,NUMBER or START,NUMBER@GUEST, in hexadecimal pages, such as a0,20")
    start, pages, guest = ((c_unsigned(part, 16) or (0, ""))[0] if part else None for part in match.groups())
    return {"start": start or 0, "number": pages or 0} | ({} if guest is None else {"gfn": guest})


def written(device: Mapping[str, Any], guest: str) -> str:
    """Return the `pci` specification that says ``device``, one of a ``guest`` of this type."""
    address = ".".join((
        f"{device.get('domain', 0):04x}:{device.get('bus', 0):02x}:{device.get('dev', 0):02x}",
        "*" if device.get("vfunc_mask") == ALL_FUNCTIONS else f"{device.get('func', 0):x}",
    ))  # fmt: skip
    words = [f"name={device['name']}"] if "name" in device else [address]
    if "vdevfn" in device:
        words.append(f"vslot={device['vdevfn'] >> 3:x}")
    words += [f"{key}={device[key]:d}" for key in FLAGS if key in device]
    policy = device.get("rdm_policy", OPEN_POLICY)
    if policy != (OPEN_POLICY if guest == "hvm" else UNASKED_POLICY):
        words.append(f"rdm_policy={policy}")
    return ",".join(words)


def written_resources(build: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return `ioports`, `irqs` and `iomem` of a b_info, as far as it has them."""
    lists = {
        "ioports": [f"{one.get('first', 0):x}-{one.get('first', 0) + one.get('number', 0) - 1:x}"
                    for one in build.get("ioports", [])],
        "irqs": [str(irq) for irq in build.get("irqs", [])],
        "iomem": [f"{one.get('start', 0):x},{one.get('number', 0):x}" + (f"@{one['gfn']:x}" if "gfn" in one else "")
                  for one in build.get("iomem", [])],
    }  # fmt: skip
    return {option: items for option, items in lists.items() if items}
