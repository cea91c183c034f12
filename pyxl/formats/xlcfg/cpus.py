"""CPU lists such as `0-3,^1` or `nodes:0`, and the masks of xl.conf, to the bits of libxl's affinity maps.

Follows xl.cfg(5) and xl.conf(5).
Does not know which CPUs and NUMA nodes the host has unless the caller says.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.values import texts

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting

HINT = "`pyxl config` takes it as --cpus N --nodes N."
NODES = re.compile(r"nodes?:")
RANGE = re.compile(r"\s*\+?([0-9]{1,9})(?:-\s*\+?([0-9]{1,9}))?")
#: More than Xen can be built for: where the host is not known, a range ends here.
MAX_CPUS = 4096


def cpu_set(text: str, place: str, host_cpus: int | None, nodes: Sequence[int] | None = None) -> set[int]:
    """Return the CPUs of a list; ``place`` begins the error message.

    Like libxl's maps, which are whole bytes, the result is cut to a multiple of 8 not below ``host_cpus``; ``nodes``
    has the NUMA node of each CPU.

    :raise UsageError: a bad list, or `all` or NUMA nodes on a host that is not given.
    """
    width = MAX_CPUS if host_cpus is None else (host_cpus + 7) // 8 * 8
    cpus: set[int] = set()
    for part in filter(None, text.split(",")):
        without = part.startswith("^")
        body = part[1:] if without else part
        of_nodes = NODES.match(body)
        if of_nodes:
            body = body[of_nodes.end() :]
            if nodes is None:
                raise UsageError(f'{place}: "{part}" needs the NUMA nodes of the host', HINT)
        if body == "all" and not without:
            if host_cpus is None:
                raise UsageError(f'{place}: "all" needs the number of CPUs of the host', HINT)
            bits: Iterable[int] = range(width)
        else:
            match = RANGE.fullmatch(body)
            first = int(match.group(1)) if match else 0
            last = int(match.group(2) or first) if match else 0
            if match is None or not first <= last:
                raise UsageError(f'{place}: "{part}" is no CPU number or range')
            if of_nodes:
                bits = [cpu for cpu, node in enumerate(nodes or ()) if first <= node <= last]
            else:
                bits = range(first, min(last + 1, width))
        if without:
            cpus.difference_update(bits)
        else:
            cpus.update(bits)
    return cpus


def pin(
    b_info: dict[str, Any], settings: Mapping[str, Setting], masks: Mapping[str, str], vcpus: int,
    host_cpus: int | None, nodes: Sequence[int] | None,
) -> None:  # fmt: skip
    """Put the affinities of `cpus`, `cpus_soft` and of the masks of xl.conf into ``b_info``.

    ``vcpus`` is 0 where the config leaves their number open: the masks alone hold for such a guest.

    :raise UsageError: a bad CPU list, or no CPU left for a vcpu.
    """
    # Where nothing is pinned, xl reads a string all the same; which CPUs it names does not matter then.
    host = (host_cpus, nodes) if vcpus else (MAX_CPUS, ())
    for name, member in (("cpus", "vcpu_hard_affinity"), ("cpus_soft", "vcpu_soft_affinity")):
        setting = settings.get(name)
        if setting is None:
            continue
        if isinstance(setting.value, list):
            sets = [(word, cpu_set(word, f'{word.place}: "{name}"', *host)) for word in texts(setting)[:vcpus]]
        else:
            word = setting.value
            sets = [(word, cpu_set(word, f'{word.place}: "{name}"', *host))] * vcpus
        for word, cpus in sets:
            if not cpus and name == "cpus":
                raise UsageError(f'{word.place}: "{name}": "{word}" leaves no CPU for a vcpu')
        if sets:
            b_info[member] = [sorted(cpus) for _, cpus in sets]
        # libxl places a guest on a NUMA node by itself unless someone has chosen already.
        if isinstance(setting.value, list) or name == "cpus_soft":
            b_info["numa_placement"] = "False"
    if masks:
        allowed = [cpu_set(mask, f'xl.conf: "{name}"', host_cpus) for name, mask in masks.items()]
        hard = masked(b_info.get("vcpu_hard_affinity"), allowed, vcpus or 1, host_cpus)
        if hard is not None:
            b_info["vcpu_hard_affinity"] = hard


def masked(
    hard: list[list[int]] | None, masks: Sequence[set[int]], vcpus: int, host_cpus: int | None
) -> list[list[int]] | None:
    """Return the hard affinity under the masks of xl.conf; None when there is none and the masks exclude no CPU.

    :raise UsageError: no CPU is left for a vcpu.
    """
    mask = set.intersection(*masks)
    if hard is None:
        if host_cpus is not None and mask.issuperset(range((host_cpus + 7) // 8 * 8)):
            return None
        result = [sorted(mask)] * vcpus
    else:
        result = [sorted(mask.intersection(cpus)) for cpus in hard]
    if not all(result):
        raise UsageError("the CPU masks of xl.conf leave no CPU for a vcpu")
    return result
