"""Another config for a guest's next reboot: config-update keeps it, the monitor takes it.

It lies where xl's own lies, so that either's monitor finds the other's.
"""

import json
from collections.abc import Callable
from pathlib import Path

from pyxl.errors import UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops import xl_conf
from pyxl.ops.change import changing, point_of_no_return

Say = Callable[[str], None]


def keep(
    xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, text: str, say: Say
) -> GuestConfig:
    """Keep an xl.cfg for a guest's next reboot, and return the config that it runs with.

    A guest whose text has no uuid keeps its own: licences and backups know it by that.

    :raise OperationError: it could not be kept.
    """
    with changing(xen, store, open_dm, "config-update", domain, say):
        living = GuestConfig(xen.config_json(domain.domid), f"domain {domain.domid}")
        if "uuid" not in _settings(text):
            text += f'\nuuid = "{domain.uuid}"\n'
        point_of_no_return()
        xen.keep_update(domain.domid, text.encode(errors="surrogateescape"))
    return living


def take(domain: DomainInfo, say: Say) -> GuestConfig | None:
    """Return the config that was kept for the reboot that this domain now does; None where there is no good one."""
    file = Path(paths.config_update(domain.domid, domain.uuid))
    try:
        text = file.read_bytes().decode(errors="surrogateescape").rstrip("\0")
    except OSError:
        return None
    try:
        following = _parse(text, "config-update")
    except UsageError as error:
        say(f"the config of config-update is not taken: {error}")
        return None
    say("the config of config-update is taken")
    return following


def _settings(text: str) -> set[str]:
    from pyxl.formats.xlcfg.lexer import read  # few commands need xl.cfg's grammar

    return set(read([("config", text)], lambda _: None))


def _parse(text: str, source: str) -> GuestConfig:
    from pyxl.formats.xlcfg.parse import parse

    return GuestConfig(json.dumps(parse([(source, text)], xl_conf.read())), source)
