"""One self-contained HTML page that shows what a command has found: facts, a picture of memory, tables.

The page's script builds all of it out of one JSON document, text as text; it loads nothing from anywhere.  The browser
is told to run this script and to take this style alone: what gets in as markup in spite of that stays dead.
"""

import base64
import hashlib
import json
from importlib import resources
from string import Template
from typing import Any

from pyxl.cli.words import printable
from pyxl.files.memory_map import MemoryMap


def render(document: dict[str, Any]) -> bytes:
    """Return the page.

    ``document`` has ``title``, ``subtitle``, ``verdicts`` as (good, text), ``facts`` as (name, value), ``map`` or None,
    ``sections`` and ``footer``.  A section has ``title`` and, where needed: ``strip`` as (layer, what, bytes),
    ``text``, ``columns`` as (name, class) with ``rows``, and ``parts`` that open, with ``title``, ``note`` and
    ``groups`` of (title, rows).
    """
    files = resources.files("pyxl.cli.page")
    # In a script only "</script" and "<!--" would end or change the text.
    data = json.dumps(_printable(document)).replace("<", "\\u003c")
    css, js = ((files / f"page.{name}").read_text() for name in ("css", "js"))
    parts = {"css": css, "css_hash": _hash(css), "js": js, "js_hash": _hash(js), "data": data}
    return Template((files / "page.html").read_text()).substitute(parts).encode()


def memory(title: str, found: MemoryMap) -> dict[str, Any]:
    """Return the ``map`` of a document."""
    regions = [(region.gfn, region.cells) for region in found.regions]
    return {"title": title, "kinds": found.kinds, "shift": found.shift, "regions": regions}


def _hash(text: str) -> str:
    """Return how a Content-Security-Policy names a script or a style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _printable(value: Any) -> Any:
    """Return a document without characters that reverse a line or hide something."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple):
        return [_printable(each) for each in value]
    if isinstance(value, dict):
        return {name: _printable(each) for name, each in value.items()}
    return value
