"""How the pages look: dark, on paper, narrow, to eyes without all cones, and to who does not see them."""

import itertools
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest
from selenium.webdriver.support.wait import WebDriverWait

from pyxl.formats.stream import record
from tests.formats.stream import streams
from tests.pages import made
from tests.pages.browser import PICTURE, Browser
from tests.pages.conftest import page_of
from tests.pages.looks import COLORS, EYES, LAYERS, VARIABLES, distance, rgb

lab = pytest.mark.lab

#: The share of each color among the picture's pixels, as "r,g,b".
SHARES = PICTURE + """
  const found = {};
  for (let at = 0; at < pixels.length; at += 4) {
    const color = `${pixels[at]},${pixels[at + 1]},${pixels[at + 2]}`;
    found[color] = (found[color] || 0) + 4 / pixels.length;
  }
  return found;
"""
#: Each text whose contrast to what is behind it is too low for WCAG's level AA, but that of disabled buttons.
PALE = """
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return parts(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), pale = [];
  let seen = 0;
  for (let text; text = texts.nextNode();) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.disabled) continue;
    const pair = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => a - b);
    const contrast = (pair[1] + 0.05) / (pair[0] + 0.05);
    seen += 1;
    if (contrast < 4.5) pale.push(`${text.data}: ${contrast.toFixed(1)}`);
  }
  return [seen, pale];
"""
#: Headings, as [level, text]; names of what can be used; each table's number of heads without a scope.
OUTLINE = """
  const all = (what) => [...document.querySelectorAll(what)];
  return {
    headings: all("h1, h2, h3").map((each) => [Number(each.tagName[1]), each.textContent]),
    names: all("button, canvas, [role=img], section:not(:has(h2))").map((each) => each.getAttribute("aria-label")),
    bare: all("th").filter((each) => each.scope !== "col").length,
    images: all("img, svg").length, roots: all("main").length, language: document.documentElement.lang,
  };
"""
#: What reaches beyond the window, and in no box that scrolls.
WIDE = """
  return [...document.querySelectorAll("main *")].filter((each) => each.getBoundingClientRect().right > innerWidth + 0.5
    && !each.parentElement.closest(".scroll, .strip")).map((each) => each.outerHTML.slice(0, 200));
"""


@lab
def test_a_page_is_dark_where_the_system_is_and_changes_with_it(browser: Browser, inspected: Path, compared: Path) -> None:
    for page in (inspected, compared):
        for dark in (False, True, False):
            if not dark:
                browser.show(page)
            browser.look(dark)
            theme = "dark" if dark else "light"
            wait_for(browser, theme)
            background = browser.find("body").value_of_css_property("background-color")
            assert background.startswith("rgba({}, {}, {}".format(*rgb(VARIABLES[theme]["paper"])))
            assert share(browser, "light" if dark else "dark") == 0


def share(browser: Browser, theme: str) -> float:
    """Return the share of the picture's pixels that have one of a theme's colors."""
    shares = browser.ask(SHARES)
    return float(sum(shares.get(",".join(map(str, rgb(color))), 0) for color in set(COLORS[theme].values())))


def wait_for(browser: Browser, theme: str) -> None:
    """Wait until the picture has a theme's colors.

    :raise TimeoutException: it does not within 5 s.
    """
    WebDriverWait(browser.driver, 5, 0.05).until(lambda _: share(browser, theme) > 0.9, f"a picture that is {theme}")


@lab
def test_paper_is_white_even_where_the_system_is_dark(browser: Browser, inspected: Path, place: Path) -> None:
    browser.show(inspected, dark=True)
    browser.look(dark=True, media="print")
    wait_for(browser, "light")
    assert browser.find("body").value_of_css_property("background-color") == "rgba(255, 255, 255, 1)"
    assert browser.ask(PALE)[1] == []
    assert not browser.find("button").is_displayed()
    browser.look(dark=True)
    wait_for(browser, "dark")
    browser.paper(place / "paper.pdf")
    printed = paints(place / "paper.pdf")
    assert min(printed[rgb(COLORS["light"][kind])] for kind in ("data", "zero", "ballooned")) > 100
    assert not {rgb(color) for color in VARIABLES["dark"].values()} & set(printed)
    wait_for(browser, "dark")  # the screen again
    for event, theme in (("beforeprint", "light"), ("afterprint", "dark")):
        browser.ask("dispatchEvent(new Event(arguments[0]))", event)
        assert share(browser, theme) > 0.9


def paints(paper: Path) -> Counter[tuple[int, ...]]:
    """Return how many times a PDF takes each color to fill something; the picture is drawn in it, square by square."""
    found: Counter[tuple[int, ...]] = Counter()
    for stream in re.findall(rb"/FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream", paper.read_bytes(), re.DOTALL):
        for color in re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) rg\n", zlib.decompress(stream)):
            found[tuple(round(255 * float(part)) for part in color)] += 1
    return found


@lab
def test_a_narrow_window_scrolls_tables_alone(browser: Browser, inspected: Path, compared: Path, place: Path) -> None:
    name = "n" * 300
    long = page_of(made.write(place / f"{'f' * 200}.checkpoint", [(0, made.DATA)], made.config(64, name) | {name: name}))
    (place / "records").write_bytes(streams.checkpoint(streams.libxc_stream(records=streams.SMALLEST + 2000 * record.encode(0x11))))
    many = page_of(place / "records")
    for page in (inspected, compared, long, many):
        browser.show(page, width=400)
        browser.ask("document.querySelectorAll('details').forEach((each) => { each.open = true; });")
        assert browser.ask("return document.documentElement.scrollWidth") == 400
        assert browser.ask(WIDE) == []
    scrolls = "return [...document.querySelectorAll('.scroll, .strip')].some((each) => each.scrollWidth > each.clientWidth)"
    assert browser.ask(scrolls)
    assert browser.find(".read").text == "The file has no page of the guest."


@lab
def test_every_text_can_be_read_in_both_themes(browser: Browser, inspected: Path, compared: Path) -> None:
    for page in (inspected, compared):
        for dark in (False, True):
            browser.show(page, dark=dark)
            browser.ask("document.querySelectorAll('details').forEach((each) => { each.open = true; });")
            seen, pale = browser.ask(PALE)
            assert seen > 100 and pale == []


@lab
def test_who_does_not_see_the_page_is_told(browser: Browser, inspected: Path, compared: Path) -> None:
    for page, title in ((inspected, "web1"), (compared, "web1.checkpoint and web1-later.checkpoint")):
        browser.show(page)
        assert browser.driver.title == f"{title} \N{EN DASH} pyxl"
        outline = browser.ask(OUTLINE)
        levels = [level for level, _ in outline["headings"]]
        assert outline["headings"][0] == [1, title] and levels.count(1) == 1 and {2} < set(levels)
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert len(outline["names"]) >= 7 and all(outline["names"])
        assert (outline["bare"], outline["images"], outline["roots"], outline["language"]) == (0, 0, 1, "en")
        assert re.search(r"0x0 to 0x20000000: \d+ % ", browser.find("canvas").accessible_name)


def test_eyes_without_all_cones_tell_the_colors_apart() -> None:
    for theme, found in VARIABLES.items():
        for together in (set(COLORS[theme].values()), {found[name] for name in LAYERS}):
            assert len(together) == 4
            for (one, other), eyes in itertools.product(itertools.combinations(together, 2), EYES):
                assert distance(one, other, eyes) > 20, (theme, one, other, eyes)


def test_pictures_of_the_pages_are_small() -> None:
    folder = Path(__file__).parents[2] / "pyxl" / "cli"
    pictures = re.findall(r"!\[.+\]\((.+\.png)\)", (folder / "README.md").read_text())
    assert len(pictures) == 2
    assert all((folder / each).stat().st_size < 100 << 10 for each in pictures)
