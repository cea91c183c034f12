"""One config through pyxl's parser and through xl, side by side."""

from collections import Counter
from typing import Any

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import xl_conf
from pyxl.formats.xlcfg.parse import parse
from pyxl.lab.recipe import suite
from tests.oracle import HOST_NODES, normalise, xl
from tests.oracle.on_purpose import reason
from tests.xen.link import SUITE

HOST = {
    "host_cpus": len(HOST_NODES), "host_nodes": HOST_NODES, "release": (*map(int, suite(SUITE).xen.split(".")), 99),
}  # fmt: skip
#: Members that are made up where the config does not name them.
MADE_UP = (("c_info", "uuid"), ("b_info", "type.hvm", "ms_vm_genid"))


def pyxl(text: bytes | str, conf: str = "") -> dict[str, Any] | str:
    """Return what libxl would make of pyxl's parse of a config, or pyxl's message where it refuses."""
    try:
        defaults = xl_conf.parse(conf) | HOST
        document = parse([("f", text if isinstance(text, str) else text.decode(errors="surrogateescape"))], defaults)
    except UsageError as error:
        return str(error)
    return normalise(document)


def unexplained(text: bytes | str, seen: Counter[str], conf: str = "") -> str | None:
    """Return how pyxl and xl differ over a config, unless they do so on purpose; count in ``seen`` what it is."""
    what = difference(text, conf)
    row = reason(text, what) if what else "equal"
    seen[row or "wrong"] += 1
    return None if row else what


def difference(text: bytes | str, conf: str = "") -> str | None:
    """Return how pyxl and xl differ over a config; None where both refuse it, or both make the same of it."""
    ours, theirs = pyxl(text, conf), xl(text, conf)
    if isinstance(ours, str) or isinstance(theirs, str):
        if isinstance(ours, str) and isinstance(theirs, str):
            return None
        return f"pyxl refuses: {ours}" if isinstance(ours, str) else f"xl refuses: {theirs}"
    for document in (ours, theirs):
        for *steps, member in MADE_UP:
            tree = document
            for step in steps:
                tree = tree.get(step, {})
            tree.pop(member, None)
    if ours == theirs:
        return None
    mine, other = flat(ours), flat(theirs)
    changed = {path for path in mine.keys() | other.keys() if mine.get(path) != other.get(path)}
    return "; ".join(f"{path}: pyxl {mine.get(path)!r}, xl {other.get(path)!r}" for path in sorted(changed))


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of a JSON tree by path."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {leaf: found for key, inner in pairs for leaf, found in flat(inner, f"{path}/{key}").items()}
    return {path: value}
