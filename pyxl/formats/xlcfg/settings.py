"""Settings of xl.cfg put into a config that a guest runs with already: only those that the guest does not see.

Does not know why a guest would not bear the others; formats/config_difference does.
"""

from __future__ import annotations

import copy

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import options, writer
from pyxl.formats.xlcfg.lexer import read
from pyxl.formats.xlcfg.parse import parse

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyxl.formats.guest_config import GuestConfig

#: What a config says of the host's side of a guest, beside what it does at its end.
UNSEEN = frozenset(
    "pool cpus cpus_soft cpu_weight cap period slice latency extratime shadow_memory seclabel device_model_user"
    " vnc vnclisten vncpasswd vncdisplay vncunused sdl opengl display xauthority keymap serial"
    " spicehost spiceport spicetls_port spicedisable_ticketing spicepasswd spice_image_compression"
    " spice_streaming_video ms_vm_genid".split()
) | frozenset(options.ON_SHUTDOWN)
_INSTEAD = {"name": "--name", "uuid": "--new-identity", "disk": "--disk", "vif": "--mac"}


def put(config: GuestConfig, settings: Sequence[str], known: Mapping[str, Any]) -> None:
    """Put settings, each "KEY=VALUE" in xl.cfg's grammar, into ``config``; ``known`` is what parse is told of
    the host.

    :raise UsageError: one is wrong, or changes what the guest has.
    """
    for setting in settings:
        for key in read([("--set", setting)], _raise):
            if key in _INSTEAD:
                raise UsageError(f"--set {key}: that is what {_INSTEAD[key]} is for")
            if key not in UNSEEN:
                raise UsageError(
                    f"--set {key}: it would change what the guest has, or is no key of xl.cfg",
                    "The guest goes on as it was saved; `pyxl config-update` sets it for its next reboot.",
                )
    # Of a whole config, as what a key does may depend on others.
    text = writer.text(config.document)
    before = parse([("the checkpoint's config", text)], known)
    after = parse([("the checkpoint's config", text), ("--set", "\n".join(settings))], known)
    _overlay(config.document, before, after)


def _overlay(tree: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    """Change in ``tree`` what differs between the two others."""
    for key in before.keys() - after.keys():
        tree.pop(key, None)
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _overlay(tree.setdefault(key, {}), old, value)
        elif value != old:
            tree[key] = copy.deepcopy(value)


def _raise(error: UsageError) -> None:
    raise error
