"""What xl.conf says about new domains.

Follows xl.conf(5) and xl 4.17, which warns of a wrong value and does as if its option were not there.
"""

from __future__ import annotations

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import values
from pyxl.formats.xlcfg.lexer import read
from pyxl.formats.xlcfg.report import Ignored, Report
from pyxl.formats.xlcfg.values import INT32_MAX

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting

#: Option -> member of every nic that does not set its own.
NIC_DEFAULTS = {
    "vif.default.script": "script", "vif.default.bridge": "bridge",
    "vif.default.gatewaydev": "gatewaydev", "vif.default.backend": "backend_domname",
}  # fmt: skip
OLD_NAMES = {"vifscript": "vif.default.script", "defaultbridge": "vif.default.bridge"}
GRANT_LIMITS = ("max_grant_frames", "max_maptrack_frames", "max_grant_version")
BOOLEANS = ("run_hotplug_scripts", "claim_mode")
TEXTS = ("lockfile", "blkdev_start", "vm.cpumask", "vm.hvm.cpumask", "vm.pv.cpumask", *NIC_DEFAULTS)
AUTOBALLOON = ("off", "0", "on", "1", "auto")
DOMID_POLICIES = ("xen", "random")


def parse(
    text: str, source: str = "/etc/xen/xl.conf", warn: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Return what xl.conf says about new domains, under its own option names; leave other options out.

    ``warn`` gets a text for each value that xl ignores, and for each option that only xl heeds.

    :raise UsageError: a syntax error, or a limit that is no number: all of them, each with its line and a mark.
    """
    report = Report([(source, text)])
    settings = read([(source, text)], report.error)
    for old, new in OLD_NAMES.items():
        if old in settings:
            report.warn(f'{settings[old].place}: "{old}" is deprecated: say {new}')
            settings.setdefault(new, settings[old])
    result: dict[str, Any] = {}
    for name, setting in settings.items():
        try:
            if name in BOOLEANS:
                result[name] = bool(values.number(setting))
            elif name in GRANT_LIMITS:
                result[name] = values.exact_number(setting, 0, INT32_MAX)
            elif name in TEXTS:
                result[name] = values.text(setting)
            elif name == "autoballoon":
                result[name] = _one_of(setting, AUTOBALLOON)
            elif name == "domid_policy" and _one_of(setting, DOMID_POLICIES) == "random":
                report.warn(f'{setting.place}: "{name}" is ignored: Xen chooses the domid of each new domain')
        except UsageError as error:
            report.error(error)
    report.close(warn)
    return result


def _one_of(setting: Setting, names: tuple[str, ...]) -> str:
    if (word := values.text(setting)) not in names:
        raise Ignored(str(values.wrong(setting, f"one of {', '.join(names)}")))
    return word
