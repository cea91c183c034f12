"""The smallest guest of each type, and what more text in its config changes, warns of or is refused for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.parse import COMMAND_LINE, parse

UUID = "6b1d9b2e-0000-4000-8000-000000000001"
HVM = f'name = "h"; type = "hvm"; uuid = "{UUID}"\n'
PV = f'name = "p"; kernel = "/k"; uuid = "{UUID}"\n'
PVH = PV + 'type = "pvh"\n'
#: Paths to what most options are members of.
B, T = "/b_info", "/b_info/type.hvm"


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of a JSON tree by path; an array is a leaf."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {leaf: found for key, inner in value.items() for leaf, found in flat(inner, f"{path}/{key}").items()}


def changes(base: str, text: str, **defaults: Any) -> dict[str, Any]:
    """Return the leaves that ``text`` adds to the guest of ``base`` or changes in it."""
    before = flat(parse([("f", base)]))
    after = flat(parse([("f", base + text)], defaults))
    emptied = {path for path, value in before.items() if value == {}}
    assert before.keys() - after.keys() <= emptied, "an option took something away"
    return {path: value for path, value in after.items() if before.get(path) != value}


def warnings(text: str) -> list[str]:
    """Return the warnings about a config, each without its column and its line."""
    said: list[str] = []
    parse([("f", text)], warn=said.append)
    return [without_column(message) for message in said]


def without_column(message: str) -> str:
    return re.sub(r"^(f:[0-9]+):[0-9]+:", r"\1:", message.partition("\n")[0])


def refusal(text: str, *arguments: str) -> str:
    """Return the error of a config, without the column, and without the line that it shows."""
    with pytest.raises(UsageError) as caught:
        parse([("f", text), *((COMMAND_LINE, argument) for argument in arguments)])
    return without_column(str(caught.value))
