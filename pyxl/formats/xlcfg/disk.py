"""The disk specifications of xl: one string of a `disk` list to its libxl JSON object.

Follows xl-disk-configuration(5) and the grammar that libxlutil 4.17 accepts.
Does not know whether a target exists, nor which backend libxl will choose for it.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.options import NO_COLO

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FORMATS = ("raw", "qcow", "qcow2", "vhd", "empty", "qed")
BACKENDS = ("phy", "tap", "qdisk", "standalone")
SPECIFICATIONS = ("xen", "virtio")
READ_ONLY = ("r", "ro")
READ_WRITE = ("rw", "w", "")

#: A single word, or key=value, up to its comma.
FLAG = re.compile(r"(cdrom|direct-io-safe|(?:no-)?discard|(?:un)?trusted|(?:no-)?colo)(?:,|\Z)")
PAIR = re.compile(r"([a-z][-a-z0-9]*)=([^,]*),?", re.DOTALL)
TARGET = re.compile(r"target=(.*)", re.DOTALL)
#: `phy:` and similar prefixes from xm's time; the rest of the specification follows, its target on the same line.
PREFIX = re.compile(r"([a-z][a-z0-9]*):(?![^,]*\n)")
POSITIONAL = re.compile(r"([^=,]*),|([^=,]+)")
FORMAT_PREFIXES = ("raw", "qcow", "qcow2", "vhd")
SCRIPT_PREFIXES = ("iscsi", "nbd", "enbd", "drbd")
IGNORED_PREFIXES = ("tapdisk", "tap", "tap2", "aio", "ioemu", "file", "phy")
#: Keys that hold a string -> their name in the JSON.
STRINGS = {"vdev": "vdev", "script": "script", "backend": "backend_domname"}
COLO_KEYS = ("colo-host", "colo-port", "colo-export", "active-disk", "hidden-disk")


def parse(spec: str, place: str = "", more: Sequence[str] = ()) -> dict[str, Any]:
    """Return the libxl_device_disk JSON object that xl makes of ``spec``.

    ``place`` begins the error message: the file and line that hold the specification.  ``more`` are its further words,
    on a command line: a ``target=`` takes the rest of its own word.

    :raise UsageError: a specification that xl refuses too, or one with words of COLO.
    """
    return _Disk((spec, *more), place).parse()


class _Disk:
    def __init__(self, specs: Sequence[str], place: str) -> None:
        self._specs = specs
        self._spec = ""
        self._place = place
        self._disk: dict[str, Any] = {}
        self._had_prefix = False
        self._access_set = False

    def parse(self) -> dict[str, Any]:
        disk = self._disk
        disk["readwrite"] = 1
        for spec in self._specs:
            self._spec, at = spec, 0
            while at < len(spec):
                at = self._parameter(at)
        disk.setdefault("format", "raw")
        if disk.get("is_cdrom"):
            disk["removable"] = 1
            disk["readwrite"] = 0
            if not disk.get("pdev_path"):
                disk["format"] = "empty"
        if "vdev" not in disk:
            raise self._error("it names no vdev")
        if "pdev_path" not in disk and not disk.get("removable"):
            raise self._error("it has no target and is not removable")
        return disk

    def _parameter(self, at: int) -> int:
        """Read the parameter that begins at ``at`` and return where the next one begins."""
        spec = self._spec
        if spec[at] in " \t\n":
            return at + 1
        if match := TARGET.match(spec, at):
            self._set_string("pdev_path", "target", match.group(1).removesuffix(","))
            return len(spec)
        if match := FLAG.match(spec, at):
            self._flag(match.group(1))
            return match.end()
        if match := PAIR.match(spec, at):
            self._pair(match.group(1), match.group(2))
            return match.end()
        if match := PREFIX.match(spec, at):
            if self._prefix(match.group(1), spec[match.end() :]):
                return match.end()
        match = POSITIONAL.match(spec, at)
        if match is None or spec[match.end() : match.end() + 1] == "=":
            raise self._error(f'bad syntax at "{spec[at:]}"; a target with "=" needs target=')
        text = match.group(1) if match.group(2) is None else match.group(2)
        self._positional(text)
        return match.end()

    def _flag(self, flag: str) -> None:
        if flag == "cdrom":
            self._disk["is_cdrom"] = 1
        elif flag == "direct-io-safe":
            self._disk["direct_io_safe"] = True
        elif flag.endswith("discard"):
            self._disk["discard_enable"] = "True" if flag == "discard" else "False"
        elif flag == "no-colo":
            self._disk["colo_enable"] = "False"
        elif flag == "colo":
            raise self._error(f'"{flag}" {NO_COLO}')
        else:
            self._disk["trusted"] = "True" if flag == "trusted" else "False"

    def _pair(self, key: str, value: str) -> None:
        if key in COLO_KEYS:
            raise self._error(f'"{key}" {NO_COLO}')
        if key in STRINGS:
            self._set_string(STRINGS[key], key, value)
        elif key == "format":
            self._set_choice("format", key, value or "raw", FORMATS)
        elif key == "backendtype":
            self._set_choice("backend", key, value, BACKENDS)
        elif key == "specification":
            self._set_choice("specification", key, value, SPECIFICATIONS)
        elif key == "access":
            self._set_access(value)
        elif key == "devtype":
            self._set_devtype(value)
        else:
            raise self._error(f'unknown parameter "{key}"')

    def _prefix(self, prefix: str, rest: str) -> bool:
        """Read ``prefix`` if it is one; a word before a colon may also be part of a target or vdev."""
        if prefix in FORMAT_PREFIXES:
            self._set_choice("format", "format", prefix, FORMATS)
        elif prefix in SCRIPT_PREFIXES:
            self._set_string("script", "script", f"block-{prefix}")
        elif prefix not in IGNORED_PREFIXES:
            if not rest or not (rest[0].isascii() and (rest[0].islower() or rest[0].isdigit())):
                raise self._error(f'unknown prefix "{prefix}:"')
            return False
        self._had_prefix = True
        return True

    def _positional(self, text: str) -> None:
        disk = self._disk
        if "pdev_path" not in disk:
            disk["pdev_path"] = text
        elif not self._had_prefix and "format" not in disk:
            # ",hdc:cdrom,r" of xm leaves the format out: an empty drive.
            if not disk["pdev_path"] and self._vdev_and_devtype(text):
                disk["format"] = "empty"
            else:
                self._set_choice("format", "format", text or "raw", FORMATS)
        elif "vdev" not in disk:
            if not self._vdev_and_devtype(text):
                disk["vdev"] = text
        elif not self._access_set:
            self._access_set = True
            self._set_access(text)
        else:
            raise self._error(f'too many positional parameters: "{text}"')

    def _vdev_and_devtype(self, text: str) -> bool:
        vdev, colon, devtype = text.rpartition(":")
        if not colon:
            return False
        self._set_string("vdev", "vdev", vdev)
        self._set_devtype(devtype)
        return True

    def _set_devtype(self, value: str) -> None:
        if value not in ("cdrom", "disk"):
            raise self._error(f'devtype is "cdrom" or "disk", not "{value}"')
        self._disk["is_cdrom"] = int(value == "cdrom")

    def _set_access(self, value: str) -> None:
        if value not in READ_ONLY + READ_WRITE:
            raise self._error(f'access is one of r, ro, w, rw, not "{value}"')
        self._disk["readwrite"] = int(value in READ_WRITE)

    def _set_string(self, member: str, key: str, value: str) -> None:
        if self._disk.get(member):
            raise self._error(f'{key} is given twice: "{self._disk[member]}" and "{value}"')
        self._disk[member] = value

    def _set_choice(self, member: str, key: str, value: str, choices: tuple[str, ...]) -> None:
        if value not in choices:
            raise self._error(f'{key} is one of {", ".join(choices)}, not "{value}"')
        if self._disk.setdefault(member, value) != value:
            raise self._error(f'{key} is given twice: "{self._disk[member]}" and "{value}"')

    def _error(self, what: str) -> UsageError:
        place = f"{self._place}: " if self._place else ""
        return UsageError(f'{place}disk "{self._spec}": {what}')
