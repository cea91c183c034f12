"""`vnuma`: the NUMA nodes of a guest, a list of `key=value` strings each; and back.

Follows xl.cfg(5) and xl 4.17.  Knows the host's CPUs and nodes only if it is told how many there are.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.lexer import Word
from pyxl.formats.xlcfg.spec import Spec, c_unsigned
from pyxl.formats.xlcfg.values import INT32_MAX, UINT32_MAX, UINT64_MAX

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting

KEYS = ("pnode", "size", "vcpus", "vdistances")
RANGE = re.compile(r"[ \t]*([0-9]{1,5})(?:-([0-9]{1,5}))?[ \t]*")
#: xl's table of distances, and this list, have this many members at most.
MAX_NODES = 512
EXAMPLE = '[["pnode=0","size=512","vcpus=0-1","vdistances=10,20"], …]'


def add(
    build: dict[str, Any],
    setting: Setting,
    maxvcpus: int,
    host: Mapping[str, Any],
    warn: Callable[[str], None],
) -> int:
    """Put the nodes into the b_info ``build``, its memory too, and return how many vcpus they have; 0 for no nodes.

    ``maxvcpus`` is what the config says, 0 for nothing; ``host`` may have `host_cpus` and `host_nodes`.

    :raise UsageError: a bad specification, or one that contradicts ``maxvcpus`` or `maxmem`.
    """
    if not isinstance(setting.value, list):
        warn(f'{setting.place}: "vnuma" is ignored: it is a list, such as {EXAMPLE}')
        return 0
    if len(setting.value) > MAX_NODES:
        raise UsageError(f'{setting.place}: "vnuma" has {len(setting.value)} nodes: there are {MAX_NODES} at most')
    nodes = []
    vcpus = memkb = 0
    # Like libxl's maps, which are whole bytes.
    limit = maxvcpus or host.get("host_cpus")
    width = (limit + 7) // 8 * 8 if limit else None
    for item in setting.value:
        if not isinstance(item, list):
            raise UsageError(f'{setting.place}: "vnuma" is a list of lists, such as {EXAMPLE}')
        words = [word for word in item if isinstance(word, Word)]
        node, count, size = _node([Spec("vnuma", word, warn) for word in words], len(setting.value), host)
        node["vcpus"] = [cpu for cpu in node["vcpus"] if width is None or cpu < width]
        vcpus += count
        memkb += size
        if "pnode" in node:
            build["numa_placement"] = "False"
        nodes.append(node)
    if not nodes:
        return 0
    if maxvcpus not in (0, vcpus):
        raise UsageError(f'{setting.place}: the nodes of "vnuma" have {vcpus} vcpus, but the guest has {maxvcpus}')
    if not maxvcpus and vcpus > host.get("host_cpus", vcpus):
        raise UsageError(f'{setting.place}: "vnuma" has more vcpus than the host has CPUs: say maxvcpus = {vcpus}')
    if build.get("max_memkb", memkb) != memkb:
        kb = build["max_memkb"]
        raise UsageError(f'{setting.place}: the nodes of "vnuma" have {memkb >> 10} MiB, but "maxmem" is {kb >> 10}')
    build["max_memkb"] = memkb
    build["vnuma_nodes"] = nodes
    return vcpus


def _node(specs: Iterable[Spec], nodes: int, host: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
    """Return one node, how many vcpus it names, and the memory that it names, in KiB."""
    node: dict[str, Any] = {"distances": [0] * nodes, "vcpus": []}
    vcpus: set[int] = set()
    count = size = 0
    for spec in specs:
        parts = [part for part in spec.text.split("=") if part]
        if len(parts) < 2:
            raise spec.error("is no key=value")
        key, value = (part.strip(" \t\n\v\f\r") for part in parts[:2])
        if key == "pnode":
            node["pnode"] = _number(spec, key, value) & UINT32_MAX
            if node["pnode"] > max(host.get("host_nodes", (UINT32_MAX,))):
                raise spec.error(f"the host has no node {node['pnode']}")
        elif key == "size":
            mib = _number(spec, key, value)
            if mib > INT32_MAX:
                raise spec.error(f'size wants a number from 0 to {INT32_MAX}, not "{value}"')
            node["memkb"] = mib << 10
            size += node["memkb"]
        elif key == "vcpus":
            for word in filter(None, value.split(",")):
                cpus = _range(spec, word)
                vcpus.update(cpus)
                count += len(cpus)
        elif key == "vdistances":
            distances = [_number(spec, key, word) & UINT32_MAX for word in value.split(",") if word]
            if len(distances) > nodes:
                raise spec.error(f"it has {len(distances)} distances, but there are {nodes} nodes")
            node["distances"][: len(distances)] = distances
        else:
            spec.say(f'is ignored: the keys are {", ".join(KEYS)}')
    node["vcpus"] = sorted(vcpus)
    return node, count, size


def _number(spec: Spec, key: str, text: str) -> int:
    number, rest = c_unsigned(text, 10) or (UINT64_MAX, "")
    if number == UINT64_MAX:
        raise spec.error(f'{key} is a number, not "{text}"')
    if rest:
        spec.say(f'"{text}" is taken for {number}')
    return number


def _range(spec: Spec, word: str) -> range:
    match = RANGE.fullmatch(word)
    if match is None or int(match.group(2) or match.group(1)) < int(match.group(1)):
        raise spec.error(f'vcpus are numbers and ranges such as 0-3,6, not "{word}"')
    return range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1)


def written(build: Mapping[str, Any], ranges: Callable[[list[int]], str]) -> list[list[str]]:
    """Return the `vnuma` that says the nodes of the b_info ``build``; ``ranges`` makes text of a list of CPUs."""
    nodes = []
    # libxl leaves a 0 out, but to name a node of the host is also to choose the host's nodes oneself.
    unsaid = build.get("numa_placement") == "False" and not any("pnode" in node for node in build["vnuma_nodes"])
    for node in build["vnuma_nodes"]:
        words = [f"pnode={node.get('pnode', 0)}"] if "pnode" in node or unsaid else []
        words += [f"size={node['memkb'] >> 10}"] if "memkb" in node else []
        words += [f"vcpus={ranges(node['vcpus'])}"] if node.get("vcpus") else []
        words += [f"vdistances={','.join(map(str, node['distances']))}"] if any(node.get("distances", [])) else []
        nodes.append(words)
    return nodes
