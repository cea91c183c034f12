"""Settings whose JSON is known to be xl's.

Each line of golden/*.jsonl is [types of guest, settings, what they add to such a guest or null for a refusal]. They were
recorded from pyxl where `xl create -n` of Xen 4.17.7 refused as well, or printed the JSON that libxl makes of pyxl's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.parse import parse
from pyxl.formats.xlcfg.writer import text
from tests.formats.xlcfg.guests import HVM, PV, PVH

FILES = sorted((Path(__file__).parent / "golden").glob("*.jsonl"))
BASES = {"hvm": HVM, "pv": PV + 'type = "pv"\n', "pvh": PVH}
#: As on the host where the lines were recorded.
HOST = {"host_cpus": 8, "host_nodes": [0, 0, 1, 1, 2, 2, 3, 3]}


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of a JSON tree by path, also those in arrays."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: dict[str, Any] = {}
    for key, item in inner:
        found |= leaves(item, f"{path}/{key}" if isinstance(value, dict) else f"{path}[{key}]")
    return found or {path: value}


def lines(file: Path) -> list[tuple[str, str, dict[str, Any] | None]]:
    return [(BASES[kind], said, found) for line in file.read_text().splitlines()
            for kinds, said, found in [json.loads(line)] for kind in kinds.split()]  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_settings_become_what_xl_makes_of_them(file: Path) -> None:
    for base, said, expected in lines(file):
        before = leaves(parse([("f", base)], HOST))
        if expected is None:
            with pytest.raises(UsageError, match=r"^f[ :]"):
                parse([("f", base + said)], HOST)
            continue
        after = leaves(parse([("f", base + said)], HOST))
        assert {path: value for path, value in after.items() if before.get(path, "-") != value} == expected, said


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_settings_come_back_as_they_were(file: Path) -> None:
    for base, said, expected in lines(file):
        if expected is not None:
            config = parse([("f", base + said)], HOST)
            assert parse([("again", text(config))], HOST) == config, said
