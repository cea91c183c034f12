"""Options that xl 4.17 does not have and that are lists: `smbios` and `llc_colors`; and back.

Follows xl.cfg(5) and xl 4.20; model/releases.py says since when.
"""

from __future__ import annotations

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.spec import c_unsigned
from pyxl.formats.xlcfg.values import UINT32_MAX, texts

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting, Word
    from pyxl.model.releases import Release

SMBIOS = (
    "bios_vendor bios_version system_manufacturer system_product_name system_version system_serial_number"
    " baseboard_manufacturer baseboard_product_name baseboard_version baseboard_serial_number baseboard_asset_tag"
    " baseboard_location_in_chassis enclosure_manufacturer enclosure_serial_number enclosure_asset_tag"
    " battery_manufacturer battery_device_name oem"
).split()
MOST_OEM = 99
#: Of a guest: no host has as many, and a slip should not fill memory.
MOST_COLORS = 1 << 16


def add(
    tree: dict[str, Any], settings: Mapping[str, Setting], warn: Callable[[str], None], release: Release
) -> None:
    """Put what `smbios` and `llc_colors` say into the config ``tree``.

    :raise UsageError: they are no lists, or a member of one is wrong.
    """
    b_info = tree["b_info"]
    if (setting := settings.get("smbios")) and "type.hvm" in b_info:
        if not isinstance(setting.value, list):
            raise UsageError(f'{setting.place}: "smbios" is a list, such as ["system_serial_number=X7"]')
        b_info["type.hvm"]["smbios"] = [_table(text) for text in texts(setting)]
        if sum(table["key"] == "oem" for table in b_info["type.hvm"]["smbios"]) > MOST_OEM:
            raise UsageError(f'{setting.place}: "smbios" has more than {MOST_OEM} strings of oem')
    if setting := settings.get("llc_colors"):
        if not isinstance(setting.value, list):
            warn(f'{setting.place}: "llc_colors" is ignored: it is a list, such as ["0-3", "7"]')
        elif colors := [color for text in texts(setting) for color in _colors(text)]:
            b_info["llc_colors"] = colors


def _table(text: Word) -> dict[str, str]:
    key, _, value = text.partition("=")
    if key.lower() not in SMBIOS:
        raise UsageError(f'{text.place}: smbios "{text}": it begins with none of {", ".join(SMBIOS)}')
    if not value:
        raise UsageError(f'{text.place}: smbios "{text}" is no key=value')
    return {"key": key.lower(), "value": value}


def _colors(text: Word) -> range:
    """Return the colors of "2" or "0-3", as sscanf reads them: what follows does not count."""
    first = c_unsigned(text, 10)
    last = c_unsigned(first[1][1:], 10) if first and first[1].startswith("-") else first
    if first is None or first[0] > UINT32_MAX or (last and last[0] > UINT32_MAX):
        raise UsageError(f'{text.place}: llc_colors "{text}" is no color or range such as 0-3')
    end = last[0] if last else first[0]
    if end < first[0] or end - first[0] > MOST_COLORS:
        raise UsageError(f'{text.place}: llc_colors "{text}" begins above its end, or has too many')
    return range(first[0], end + 1)


def written(b_info: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the options that say what is in ``b_info``."""
    tables = b_info.get("type.hvm", {}).get("smbios", [])
    found = {
        "smbios": [f"{table['key']}={table['value']}" for table in tables],
        "llc_colors": [str(color) for color in b_info.get("llc_colors", [])],
    }
    return {name: texts for name, texts in found.items() if texts}
