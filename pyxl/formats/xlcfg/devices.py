"""The other device lists of xl.cfg: a string of `vif` or `vfb` to its libxl JSON object.

Follows xl-network-configuration(5) and xl.cfg(5) of Xen 4.17.
Does not know bridges or displays: it only checks the words.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.options import NO_COLO
from pyxl.formats.xlcfg.unknown import slip
from pyxl.formats.xlcfg.values import INT32_MAX, UINT32_MAX, UINT64_MAX, c_number, defbool
from pyxl.model.releases import KEYS_SINCE, OLDEST

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from pyxl.model.releases import Release

NIC_TYPES = {"vif": "vif", "ioemu": "vif_ioemu"}
NIC_STRINGS = {
    "bridge": "bridge", "gatewaydev": "gatewaydev", "netdev": "gatewaydev", "ip": "ip", "script": "script",
    "backend": "backend_domname", "vifname": "ifname", "model": "model", "vlan": "vlan",
}  # fmt: skip
NIC_WORDS = frozenset(NIC_STRINGS) | {"type", "mac", "rate", "devid", "mtu", "trusted", "untrusted"}
COLO_KEY = re.compile(r"forwarddev|colo_(?:sock|filter|compare|checkpoint)_[a-z0-9_]+")
#: Any one character may stand between the octets.
MAC = re.compile(r"\s*([0-9a-fA-F]{1,2})" + 5 * r"[^0-9a-fA-F]\s*([0-9a-fA-F]{1,2})" + r"\s*")
#: How C's atoi reads: what follows the digits does not matter.
LEADING_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,20})")
#: xm told framebuffers apart so; xl looks at vnc= and sdl= alone.
VFB_TYPES = ("type=vnc", "type=sdl")
RATE = re.compile(r"([0-9]+)([GMK]?)([Bb])/s")
INTERVAL = re.compile(r"([0-9]+)([mu]?)(s?)")
RATE_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
DEFAULT_INTERVAL_USEC = 50000


def nic(
    spec: str, devid: int, defaults: Mapping[str, str], place: str, warn: Callable[[str], None],
    release: Release = (*OLDEST, 0),
) -> dict[str, Any]:  # fmt: skip
    """Return the libxl_device_nic of one `vif` string; ``defaults`` are members that it may replace.

    ``warn`` gets what xl reports and then ignores: an unknown word or type.

    :raise UsageError: a slip in a key, or a bad value; of a bad MAC xl takes what it can read.
    """
    result: dict[str, Any] = {"devid": devid, **defaults}
    for word in _words(spec):
        key, equals, value = word.partition("=")
        if not equals and key in ("trusted", "untrusted"):
            result["trusted"] = defbool(key == "trusted")
        elif equals and key in NIC_STRINGS and KEYS_SINCE.get(("vif", key), OLDEST) <= release:
            result[NIC_STRINGS[key]] = value
        elif equals and key == "type" and value in NIC_TYPES:
            result["nictype"] = NIC_TYPES[value]
        elif equals and key == "mac":
            if not (match := MAC.fullmatch(value)):
                raise _error("vif", spec, place, f'mac is six numbers such as 00:16:3e:01:02:03, not "{value}"')
            result["mac"] = ":".join(octet.rjust(2, "0").lower() for octet in match.groups())
        elif equals and key == "rate":
            try:
                result["rate_bytes_per_interval"], result["rate_interval_usecs"] = rate(value)
            except ValueError as error:
                raise _error("vif", spec, place, str(error)) from None
        elif equals and key in ("devid", "mtu"):
            if (number := _leading_number(value)) is None:
                raise _error("vif", spec, place, f'{key} is a number, not "{value}"')
            result[key] = number
        elif equals and COLO_KEY.fullmatch(key):
            raise _error("vif", spec, place, f'"{key}" {NO_COLO}')
        else:
            _unknown("vif", spec, place, word, NIC_WORDS, warn)
    return result


def rate(text: str) -> tuple[int, int]:
    """Return bytes per interval and the interval in microseconds of `10MB/s@50ms`.

    :raise ValueError: not a rate, zero, or too large.
    """
    amount, at, interval = text.partition("@")
    match = RATE.fullmatch(amount)
    value = c_number(match.group(1)) if match else None
    if match is None or value is None:
        raise ValueError(f'rate is such as 10Mb/s or 1MB/s@20ms, not "{text}"')
    if not 0 < value <= UINT32_MAX:
        raise ValueError(f'rate "{text}" is out of range')
    per_second = value * RATE_UNITS[match.group(2)]
    if match.group(3) == "b":
        per_second //= 8
    usec = _interval(interval, text) if at else DEFAULT_INTERVAL_USEC
    if per_second * usec > UINT64_MAX:
        raise ValueError(f'rate "{text}" is out of range')
    return per_second * usec // 1000000, usec


def _interval(text: str, whole: str) -> int:
    match = INTERVAL.fullmatch(text)
    value = c_number(match.group(1)) if match else None
    if match is None or value is None:
        raise ValueError(f'the interval of rate "{whole}" is such as 50ms, not "{text}"')
    usec = value * {"": 1000000, "m": 1000, "u": 1}[match.group(2)]
    if not 0 < usec <= UINT32_MAX:
        raise ValueError(f'the interval of rate "{whole}" is out of range')
    return usec


def vfb(spec: str, devid: int, place: str, warn: Callable[[str], None]) -> dict[str, Any]:
    """Return the libxl_device_vfb of one `vfb` string; ``warn`` gets what xl ignores, or takes for 0.

    :raise UsageError: a slip in a key.
    """
    vnc: dict[str, Any] = {}
    sdl: dict[str, Any] = {}
    result: dict[str, Any] = {"devid": devid, "vnc": vnc, "sdl": sdl}
    numbers = {"vnc": (vnc, "enable"), "vncunused": (vnc, "findunused"), "vncdisplay": (vnc, "display"),
               "sdl": (sdl, "enable"), "opengl": (sdl, "opengl")}  # fmt: skip
    strings = {"vnclisten": (vnc, "listen"), "vncpasswd": (vnc, "passwd"), "keymap": (result, "keymap"),
               "display": (sdl, "display"), "xauthority": (sdl, "xauthority")}  # fmt: skip
    # Here, unlike in a vif, an empty word is one as well.
    for word in [word.lstrip(" ") for word in spec.split(",") if word]:
        key, equals, value = word.partition("=")
        if not equals:
            warn(_said("vfb", spec, place, f'all from "{word}" on is ignored, as by xl'))
            break
        if key in strings:
            members, member = strings[key]
            members[member] = value
        elif key in numbers:
            if (number := _leading_number(value)) is None:
                warn(_said("vfb", spec, place, f'{key} is a number; "{value}" is 0, as in xl'))
            members, member = numbers[key]
            members[member] = (number or 0) if key == "vncdisplay" else defbool(number)
        elif word not in VFB_TYPES:
            _unknown("vfb", spec, place, word, {*strings, *numbers}, warn)
    return result


def _words(spec: str) -> list[str]:
    """Split at commas; drop empty words, as C's strtok does."""
    return [word.lstrip(" ") for word in spec.split(",") if word.lstrip(" ")]


def _leading_number(text: str) -> int | None:
    match = LEADING_NUMBER.match(text)
    value = int(match.group(1)) if match else None
    return None if value is None or abs(value) > INT32_MAX else value


def _unknown(
    device: str, spec: str, place: str, word: str, known: Collection[str], warn: Callable[[str], None]
) -> None:
    key = word.partition("=")[0]
    if near := slip(key, known):
        raise _error(device, spec, place, f'unknown key "{key}" (did you mean "{near}"?)')
    warn(_said(device, spec, place, f'"{word}" is ignored, as by xl'))


def _said(device: str, spec: str, place: str, what: str) -> str:
    return f'{place}: {device} "{spec}": {what}'


def _error(device: str, spec: str, place: str, what: str) -> UsageError:
    return UsageError(_said(device, spec, place, what))
