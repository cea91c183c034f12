"""What xl heeds but warns about: older spellings, and options that want another beside them.

Follows xl 4.17.
"""

from __future__ import annotations

from pyxl.formats.xlcfg.options import HVM, TIMER_MODES
from pyxl.formats.xlcfg.values import c_number

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxl.formats.xlcfg.lexer import Setting

TSC_MODES = ("default", "always_emulate", "native", "native_paravirt")
#: Option -> the names that stand for its numbers.
NAMED = {"tsc_mode": TSC_MODES, "timer_mode": TIMER_MODES}
#: Option -> the one that it wants beside it, and an example of that.
COMPANIONS = {
    "device_model_override": ("device_model_version", "qemu-xen"),
    "bios_path_override": ("bios", "ovmf"),
}


def remarks(settings: Mapping[str, Setting], guest: str) -> Iterator[tuple[Setting, str]]:
    """Yield each setting that a ``guest`` of this type heeds and that is better written otherwise, and how."""
    for name, names in NAMED.items():
        setting = settings.get(name)
        number = c_number(setting.value) if setting and not isinstance(setting.value, list) else None
        if setting and number is not None and 0 <= number < len(names):
            yield setting, f'a number is deprecated: say {name} = "{names[number]}"'
    for name, (companion, example) in COMPANIONS.items():
        if name in settings and companion not in settings and (name != "bios_path_override" or guest == HVM):
            yield settings[name], f'it is given without {companion}, such as {companion} = "{example}"'
    if "altp2mhvm" in settings and guest == HVM:
        yield settings["altp2mhvm"], 'it is deprecated: say altp2m = "mixed"'
    if (setting := settings.get("bootloader_args")) and not isinstance(setting.value, list):
        yield setting, "a string is deprecated: say a list of strings"
    if setting := settings.get("msr_relaxed"):
        yield setting, "later versions of Xen will not have it"
