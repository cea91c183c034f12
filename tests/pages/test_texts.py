"""Texts of a checkpoint in a page: they stay texts, and if one did not, the browser would do nothing for it."""

import json
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from pyxl.cli import diff_page, inspect_page
from pyxl.cli.words import printable
from pyxl.files.diff import diff
from pyxl.files.inspect import inspect
from pyxl.formats.stream import libxl_v2, trailer, xl_header
from tests.formats.stream import streams
from tests.pages import made
from tests.pages.browser import Browser
from tests.pages.conftest import page_of

pytestmark = pytest.mark.lab

EVIL = (
    "<script>document.title = 'done'</script>", '"><img src=x onerror="document.title = 1">', "</script><b>bold</b>", "</title><i>",
    "<!--", "--><u>", "&lt;b&gt;", "line\u2028and\u2029more", "\u202etxt.exe", "zero\u200bwidth", "${data}", "$js", "javascript:alert(1)",
    "\x1b[2J", "]]>", "<style>*{display:none}</style>", "long" * 100,
)  # fmt: skip
#: All tags that the pages make.
TAGS = {
    "header", "footer", "section", "h1", "h2", "h3", "p", "b", "i", "span", "code", "dl", "div", "dt", "dd", "button", "canvas",
    "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
}  # fmt: skip
#: What text of another origin might get in as, in spite of all.
MARKUP = """<img src="{there}/image"><link rel="stylesheet" href="{there}/style"><style>h1 {{ display: none }}</style>
<script>document.body.id = "done"</script><script src="{there}/script"></script><iframe src="{there}/frame"></iframe>
<p id="styled" style="color: red" onclick="document.body.id = 'done'">click</p><base href="{there}">
<form action="{there}/form"><button id="send">send</button></form>"""


def evil(text: str) -> bytes:
    """Return a checkpoint that says this text wherever it can."""
    config = {"c_info": {"type": "hvm", "name": text}, "b_info": {text: text}, text: [{text: [text]}]}
    data = xl_header.encode(json.dumps(config).encode()) + streams.checkpoint(marked=True)[len(xl_header.encode(streams.CONFIG)) :]
    end = libxl_v2.end()
    data = data[: -len(end)] + libxl_v2.emulator_xenstore_data(2, [(text, text)]) + end
    short = text[:90]
    return streams.summed(data, trailer.Identity(short, short, "2026-11-24T15:20:11Z", short, short, short, short))


@pytest.mark.parametrize("text", EVIL, ids=range(len(EVIL)))
def test_a_text_is_shown_and_nothing_else(browser: Browser, tmp_path: Path, text: str) -> None:
    name = printable(text[:200]).replace("/", "|")
    checkpoint, later = tmp_path / f"{name}.checkpoint", tmp_path / f"{name}.later"
    checkpoint.write_bytes(evil(text))
    later.write_bytes(evil(text + "!"))
    inspected, compared = tmp_path / f"{name}.html", tmp_path / f"{name}.diff.html"
    inspected.write_bytes(inspect_page.html(checkpoint, inspect(checkpoint, contents=True)))
    compared.write_bytes(diff_page.html(checkpoint, later, diff(checkpoint, later, picture=True)))
    for page in (inspected, compared):
        browser.show(page, width=400)
        shown, tags, width = browser.ask(
            "const all = [...document.querySelectorAll('main *')];"
            "return [document.querySelector('main').textContent, [...new Set(all.map((each) => each.localName))],"
            " document.documentElement.scrollWidth];"
        )
        assert shown.count(printable(text)) >= 3
        assert set(tags) <= TAGS and width == 400
        assert shown.isprintable() and browser.find("main").is_displayed()
        title = f"{printable(text)} \N{EN DASH} pyxl" if page != compared else f"{checkpoint.name} and {later.name} \N{EN DASH} pyxl"
        assert " ".join(browser.driver.title.split()) == " ".join(title.split())
        assert browser.ask("return document.querySelectorAll('script, style').length") == 3


def asked(server: socket.socket) -> bytes:
    """Return what a server was asked within a moment; a connection alone asks for nothing."""
    server.settimeout(0.3)
    with suppress(TimeoutError):
        while True:
            connection, _ = server.accept()
            with connection, suppress(TimeoutError):
                connection.settimeout(0.3)
                if said := connection.recv(1000):
                    return said
    return b""


def test_markup_that_gets_in_is_dead(browser: Browser, inspected: Path, place: Path) -> None:
    page = place / "spoilt.html"
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"http://127.0.0.1:{server.getsockname()[1]}"
        page.write_text(inspected.read_text().replace("<main", MARKUP.format(there=there) + "<main"))
        browser.show(page)
        browser.find("#styled").click()
        browser.find("#send").click()
        server.settimeout(0.2)
        assert asked(server) == b""
    assert browser.find("#styled").value_of_css_property("color") != "rgba(255, 0, 0, 1)"
    assert browser.ask("return document.body.id") == "" and browser.driver.current_url.startswith(page.as_uri())
    assert browser.find("h1").text == "web1" and browser.find("canvas").is_displayed()
    complaints = browser.complaints()
    for what in ("/image", "/style", "/script", "Framing", "/form", "inline style", "inline script", "inline event handler", "base"):
        assert any(what in each and "Content Security Policy" in each for each in complaints), (what, complaints)
    browser.show(inspected)


def test_a_file_s_name_is_a_text_too(browser: Browser, place: Path) -> None:
    name = '"><img src=x onerror=alert(1)>\u202e&lt;<script>alert(1)<'
    page = page_of(made.write(place / f"{name}.checkpoint", [(0, made.DATA)], made.config(64)))
    browser.show(page)
    assert browser.find(".under").text.endswith(printable(f"{name}.checkpoint"))
