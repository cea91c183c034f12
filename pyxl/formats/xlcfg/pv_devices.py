"""Devices that are a list of `key=value,…`: USB, keyboards, channels, file systems, TPMs, displays; and back.

Follows xl.cfg(5) and xl 4.17.  Does not know hosts: whether a USB device is there is found out when the guest is built.
"""

from __future__ import annotations

import re

from pyxl.formats.xlcfg.spec import Spec, c_unsigned
from pyxl.formats.xlcfg.values import INT32_MAX, UINT32_MAX, texts
from pyxl.model.releases import KEYS_SINCE, OLDEST, STRICT_PAIRS, UNNUMBERED_CHANNELS, reached

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeAlias

    from pyxl.formats.xlcfg.lexer import Setting
    from pyxl.model.releases import Release

    #: One of the kinds below, or the names of an enumeration.
    Kind: TypeAlias = "str | tuple[str, ...]"

# Kinds of values, and what C makes of them.
TEXT, INT, NUMBER, DECIMAL, BYTE = "text", "int", "number", "decimal", "byte"
FLAG, ID, CONNECTORS = "flag", "uuid", "connectors"

#: Option -> its array in the JSON, and key -> (members down to the value, kind).
DEVICES: dict[str, tuple[str, dict[str, tuple[tuple[str, ...], Kind]]]] = {
    "usbctrl": ("usbctrls", {
        "type": (("type",), ("auto", "pv", "devicemodel", "qusb")),
        "version": (("version",), INT),
        "ports": (("ports",), INT),
    }),
    "usbdev": ("usbdevs", {
        "type": (("type",), ("hostdev",)),
        "hostbus": (("type.hostdev", "hostbus"), BYTE),
        "hostaddr": (("type.hostdev", "hostaddr"), BYTE),
        "controller": (("ctrl",), INT),
        "port": (("port",), INT),
    }),
    "vkb": ("vkbs", {
        "backend": (("backend_domname",), TEXT),
        "backend-type": (("backend_type",), ("unknown", "qemu", "linux")),
        "unique-id": (("unique_id",), TEXT),
        "feature-disable-keyboard": (("feature_disable_keyboard",), FLAG),
        "feature-disable-pointer": (("feature_disable_pointer",), FLAG),
        "feature-abs-pointer": (("feature_abs_pointer",), FLAG),
        "feature-raw-pointer": (("feature_raw_pointer",), FLAG),
        "feature-multi-touch": (("feature_multi_touch",), FLAG),
        "multi-touch-width": (("multi_touch_width",), NUMBER),
        "multi-touch-height": (("multi_touch_height",), NUMBER),
        "multi-touch-num-contacts": (("multi_touch_num_contacts",), NUMBER),
        "width": (("width",), NUMBER),
        "height": (("height",), NUMBER),
    }),
    "channel": ("channels", {
        "backend": (("backend_domname",), TEXT),
        "name": (("name",), TEXT),
        "connection": (("connection",), ("pty", "socket")),
        "path": (("connection.socket", "path"), TEXT),
    }),
    "p9": ("p9s", {
        "tag": (("tag",), TEXT),
        "security_model": (("security_model",), TEXT),
        "path": (("path",), TEXT),
        "backend": (("backend_domname",), TEXT),
        "type": (("type",), ("unknown", "qemu", "xen_9pfsd")),
        "max-files": (("max_files",), DECIMAL),
        "max-open-files": (("max_open_files",), DECIMAL),
        "max-space": (("max_space",), DECIMAL),
        "auto-delete": (("auto_delete",), FLAG),
    }),
    "vtpm": ("vtpms", {"backend": (("backend_domname",), TEXT), "uuid": (("uuid",), ID)}),
    "pvcalls": ("pvcallsifs", {"backend": (("backend_domname",), TEXT)}),
    "vdispl": ("vdispls", {
        "backend": (("backend_domname",), TEXT),
        "be-alloc": (("be_alloc",), FLAG),
        "connectors": (("connectors",), CONNECTORS),
    }),
}  # fmt: skip
#: xl itself reads these no further than to the first word that is no key=value.
LENIENT = ("p9", "vtpm", "pvcalls")
#: libxl gives these no number of their own.
UNNUMBERED = ("usbdev", "p9")
#: The server of file systems that needs neither qemu nor a path, and where it then keeps a guest's files.
DAEMON, LOGS = "xen_9pfsd", "/var/log/xen/guests"
SPACE = " \t\n\v\f\r"
TOUCH = ("multi_touch_width", "multi_touch_height", "multi_touch_num_contacts")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def add(
    tree: dict[str, Any], settings: Mapping[str, Setting], warn: Callable[[str], None], release: Release
) -> None:
    """Put the devices of ``settings`` into the config ``tree``.

    :raise UsageError: an unknown key, a bad value, or one that is missing.
    """
    unnumbered = (*UNNUMBERED, "channel") if reached(release, UNNUMBERED_CHANNELS) else UNNUMBERED
    for option, (array, _) in DEVICES.items():
        if setting := settings.get(option):
            devices = tree.get(array, [])  # a framebuffer has brought its keyboard
            earlier: dict[str, Any] = {}
            for text in texts(setting):
                device = _device(option, Spec(option, text, warn), earlier, release)
                if device.get("type") == DAEMON:
                    device.setdefault("path", f"{LOGS}/{tree['c_info']['name']}")
                if option not in unnumbered:
                    device["devid"] = len(devices)
                devices.append(device)
            if devices:
                tree[array] = devices


def _device(option: str, spec: Spec, earlier: dict[str, Any], release: Release) -> dict[str, Any]:
    device: dict[str, Any] = {}
    keys = {key: how for key, how in DEVICES[option][1].items() if KEYS_SINCE.get((option, key), OLDEST) <= release}
    is_strict = option in STRICT_PAIRS and release >= STRICT_PAIRS[option]
    for key, value in _pairs(option, spec, is_strict):
        if key in keys:
            (*steps, last), kind = keys[key]
            members = device
            for step in steps:
                members = members.setdefault(step, {})
            members[last] = _value(spec, key, value, kind)
        elif option == "channel":
            spec.say(f'"{key}" is ignored: it is none of {", ".join(keys)}')
        else:
            raise spec.error(f'unknown key "{key}": it is none of {", ".join(keys)}')
    if option == "p9" and not is_strict:
        for member in sorted(earlier.keys() - device.keys()):
            spec.say(f'takes {member} "{earlier[member]}" from the one before it, as xl has it')
            device[member] = earlier[member]
        earlier.update(device)
    COMPLETE[option](spec, device)
    return device


def _pairs(option: str, spec: Spec, is_strict: bool) -> Iterator[tuple[str, str]]:
    for word in spec.words():
        key, equals, value = word.partition("=")
        if is_strict:
            if not value:
                raise spec.error(f'"{word}" is no key=value')
            key, value = key.strip(SPACE), value.strip(SPACE)
        elif option == "channel":
            parts = [part for part in word.split("=") if part]
            if len(parts) < 2:
                raise spec.error(f'"{word}" is no key=value')
            key, value = (part.strip(SPACE) for part in parts[:2])
            if len(parts) > 2:
                spec.say(f'of "{word}" only {key}={value} is read')
        elif not equals and option in LENIENT:
            spec.say(f'"{word}" and what follows is ignored: it is no key=value')
            return
        elif not equals:
            raise spec.error(f'"{word}" is no key=value')
        yield key, value


def _value(spec: Spec, key: str, value: str, kind: Kind) -> object:
    if isinstance(kind, tuple):
        if key == "connection":  # the one name that xl wants in small letters
            value = value if value in kind else f"{value} "
        return spec.choice(key, value, kind)
    if kind == INT:
        return spec.signed(key, value)
    if kind in (NUMBER, BYTE):
        return spec.unsigned(key, value, UINT32_MAX if kind == NUMBER else 0xFF)
    if kind == DECIMAL:
        if (found := c_unsigned(value, 10)) is None or found[0] > INT32_MAX:
            raise spec.error(f'{key} wants a number from 0 to {INT32_MAX}, not "{value}"')
        return found[0]
    if kind == FLAG:
        return spec.boolean(key, value)
    if kind == ID:
        if not UUID.fullmatch(value.lower()):
            raise spec.error(f'{key} is such as 6b1d9b2e-0000-4000-8000-000000000001, not "{value}"')
        return value.lower()
    return _connectors(spec, value) if kind == CONNECTORS else value


def _connectors(spec: Spec, text: str) -> list[dict[str, Any]]:
    connectors = []
    for word in filter(None, text.split(";")):
        name, size, *_ = [part for part in word.split(":") if part] + ["", ""]
        width, rest = c_unsigned(size, 10) or (0, "")
        height = c_unsigned(rest[1:], 10) if rest.startswith("x") else None
        if height is None:
            raise spec.error(f'a connector is NAME:WIDTHxHEIGHT, not "{word}"')
        connectors.append({"unique_id": name, "width": width & UINT32_MAX, "height": height[0] & UINT32_MAX})
    return connectors


def _complete_usbdev(_: Spec, device: dict[str, Any]) -> None:
    # xl leaves the type to libxl, which knows one; without it the JSON would not say which device.
    device.pop("type", None)
    device.setdefault("type.hostdev", {})


def _complete_vkb(spec: Spec, device: dict[str, Any]) -> None:
    if device.get("backend_type", "unknown") == "unknown":
        raise spec.error("it needs backend-type=qemu or backend-type=linux")
    if any(map(device.get, TOUCH)):
        device["feature_multi_touch"] = True
    elif device.get("feature_multi_touch"):
        raise spec.error("feature-multi-touch needs multi-touch-width, multi-touch-height or multi-touch-num-contacts")


def _complete_channel(spec: Spec, device: dict[str, Any]) -> None:
    connection = device.pop("connection", None)
    socket = device.pop("connection.socket", {})
    if connection is None:
        raise spec.error("it needs connection=pty or connection=socket")
    if connection == "socket" and not socket:
        raise spec.error("connection=socket needs path=")
    device[f"connection.{connection}"] = socket if connection == "socket" else {}


def _needs(*members: str) -> Callable[[Spec, dict[str, Any]], None]:
    def complete(spec: Spec, device: dict[str, Any]) -> None:
        for member in members:
            if not device.get(member) and (member == "connectors" or member not in device):
                raise spec.error(f"it needs {member.removesuffix('_domname')}=")

    return complete


def _complete_p9(spec: Spec, device: dict[str, Any]) -> None:
    if device.get("type") != DAEMON:
        _needs("path", "security_model", "tag")(spec, device)


#: Option -> what it does and refuses once all keys are read.
COMPLETE: dict[str, Callable[[Spec, dict[str, Any]], None]] = {
    "usbctrl": _needs(),
    "usbdev": _complete_usbdev,
    "vkb": _complete_vkb,
    "channel": _complete_channel,
    "p9": _complete_p9,
    "vtpm": _needs("backend_domname"),
    "pvcalls": _needs(),
    "vdispl": _needs("connectors"),
}


def written(option: str, device: Mapping[str, Any]) -> str:
    """Return the specification that says ``device``, one of the array of ``option``."""
    words = []
    if option == "channel":
        words = [f"connection={kind}" for kind in ("pty", "socket") if f"connection.{kind}" in device]
    for key, ((*steps, last), kind) in DEVICES[option][1].items():
        members: Any = device
        for step in steps:
            members = members.get(step, {})
        if last in members:
            value = members[last]
            if kind == CONNECTORS:
                value = ";".join(_connector(**one) for one in value)
            # An empty value of a channel is a blank to xl.
            words.append(f"{key}={int(value) if kind == FLAG else value or ' ' if option == 'channel' else value}")
    return ",".join(words)


def _connector(unique_id: str = "", width: int = 0, height: int = 0) -> str:
    return f"{unique_id}:{width}x{height}"
