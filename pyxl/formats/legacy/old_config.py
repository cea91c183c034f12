"""What a conversion has to know about a legacy checkpoint's config, JSON or xl.cfg text; the rest stays as it is.

Does not know whether libxl or pyxl takes the config: a restore finds out.
"""

import json
from typing import Any

from pyxl.errors import UsageError
from pyxl.formats.stream.xl_header import XlHeader


class OldConfig:
    """The config behind an xl header; what it does not say is empty."""

    def __init__(self, header: XlHeader) -> None:
        self._bytes = header.config
        self._is_json = header.is_json
        self._settings: dict[str, str] = {}
        self._created: dict[str, Any] = {}
        self._build: dict[str, Any] = {}
        text = header.config.decode("utf-8", "replace")
        if self._is_json:
            self._document = _document(text)
            self._created, self._build = (_member(self._document, key) for key in ("c_info", "b_info"))
        else:
            self._settings = _settings(text)

    @property
    def name(self) -> str:
        return self._settings.get("name", "") or str(self._created.get("name", ""))

    @property
    def uuid(self) -> str:
        return self._settings.get("uuid", "") or str(self._created.get("uuid", ""))

    @property
    def is_traditional(self) -> bool:
        """Whether it is an HVM guest's and names qemu-traditional, which before Xen 4.3 a guest had by default, too."""
        settings, created = self._settings, self._created
        named = settings.get("device_model_version") or self._build.get("device_model_version")
        is_hvm = "hvm" in (settings.get("type"), settings.get("builder"), created.get("type"))
        return is_hvm and named in ("qemu-xen-traditional", "qemu_xen_traditional")

    def for_upstream(self) -> bytes:
        """Return the config with qemu-traditional, and the firmware that only it has, replaced by the current ones."""
        if not self.is_traditional:
            return self._bytes
        if not self._is_json:  # in a config the last setting wins
            firmware = b'bios = "seabios"\n' if self._settings.get("bios") == "rombios" else b""
            return self._bytes + b'\ndevice_model_version = "qemu-xen"\n' + firmware
        hvm = _member(self._build, "type.hvm")
        build = {**self._build, "type.hvm": {key: hvm[key] for key in hvm if (key, hvm[key]) != ("bios", "rombios")}}
        del build["device_model_version"]
        return json.dumps({**self._document, "b_info": build}, indent=4).encode() + b"\n"


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _member(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _settings(text: str) -> dict[str, str]:
    from pyxl.formats.xlcfg.lexer import read  # a restore with a JSON config does not need it

    try:
        return {name: str(setting.value) for name, setting in read([("config", text)]).items()}
    except UsageError:
        return {}
