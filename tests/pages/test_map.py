"""The picture of the memory: what it shows, and how it is zoomed and scrolled."""

from pathlib import Path
from typing import NamedTuple

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

from tests.pages import made
from tests.pages.browser import PICTURE, Browser
from tests.pages.conftest import page_of
from tests.pages.looks import COLORS, rgb

pytestmark = pytest.mark.lab

KINDS = {made.DATA: "data", made.ZERO: "zero", made.NONE: "ballooned"}
#: All squares: (what the pointer's move over one says, its color).
SQUARES = f"""{PICTURE}
  const found = {{}};
  for (let y = 2; y < box.height; y += 6) for (let x = 2; x < box.width; x += 6) {{
    const at = {{ clientX: box.left + x, clientY: box.top + y }};
    document.querySelector(".read").textContent = "";
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    const said = document.querySelector(".read").textContent;
    if (said.startsWith("gfn")) found[said] = [...pixels.slice(4 * (y * canvas.width + x)).slice(0, 4)];
  }}
  return found;
"""
#: A click on the first square of a kind.
CLICK = """
  const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
  for (let y = 1; y < box.height; y += 3) for (let x = 1; x < box.width; x += 3) {
    const at = { clientX: box.left + x, clientY: box.top + y };
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    if (!document.querySelector(".read").textContent.endsWith(`: ${arguments[0]}`)) continue;
    canvas.dispatchEvent(new MouseEvent("click", at));
    return;
  }
"""


class Shown(NamedTuple):
    """The addresses that the picture shows, in a guest without a hole of a region's size."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


ALL = Shown(0, 512 << 20)


def shown(browser: Browser) -> Shown:
    label = str(browser.find("canvas").get_attribute("aria-label"))
    start, _, end = label.split(", ")[1].split(":")[0].split(" ")
    return Shown(int(start, 16), int(end, 16))


def test_every_square_is_what_the_checkpoint_has_there(browser: Browser, place: Path) -> None:
    letters = made.DATA * 50 + made.ZERO * 60 + made.NONE * 20 + made.DATA * 30 + made.NONE * 32 + made.ZERO * 40 + made.NONE * 20 + made.DATA * 4
    config = made.config(1)
    config["b_info"] |= {"max_memkb": 4 * 256, "video_memkb": 0}
    browser.show(page_of(made.write(place / "known.checkpoint", [(0, letters)], config)))
    found = {
        int(said.removeprefix("gfn 0x").split(",")[0], 16): (said.split(": ")[1], color)
        for said, color in browser.ask(SQUARES).items()
    }  # fmt: skip
    kinds = ["absent" if gfn in made.HOLES[0] else KINDS[letter] for gfn, letter in enumerate(letters)]
    assert found == {gfn: (kind, [*rgb(COLORS["light"][kind]), 255]) for gfn, kind in enumerate(kinds)}
    assert browser.find(".legend").text.split("\n") == ["data 336 KiB", "zero 400 KiB", "ballooned 160 KiB", "absent"]


def test_the_mouse_zooms_and_scrolls(browser: Browser, inspected: Path) -> None:
    browser.show(inspected)
    canvas, mouse = browser.find("canvas"), ActionChains(browser.driver)
    assert shown(browser) == ALL
    mouse.click(canvas).perform()
    closer = shown(browser)
    assert closer.size == ALL.size // 4 and closer.start < ALL.size // 2 < closer.end
    mouse.move_to_element_with_offset(canvas, 100, 50).perform()
    assert browser.find(".read").text.startswith("gfn 0x")
    mouse.key_down(Keys.SHIFT).click(canvas).key_up(Keys.SHIFT).perform()
    assert shown(browser) == ALL

    over = ScrollOrigin.from_element(canvas)
    for down in (-100, -100):
        mouse.key_down(Keys.CONTROL).scroll_from_origin(over, 0, down).key_up(Keys.CONTROL).perform()
    closer = shown(browser)
    assert closer.size == pytest.approx(ALL.size * 0.67**2, rel=0.01)
    mouse.scroll_from_origin(over, -100, 0).perform()
    assert shown(browser).end < closer.end and shown(browser).size == closer.size
    assert browser.ask("return visualViewport.scale * scrollY") == 0
    bar = browser.find(".whole")
    mouse.move_to_element(bar).click_and_hold().move_by_offset(bar.size["width"] // 2 - 1, 0).release().perform()
    assert shown(browser) == (ALL.size - closer.size, ALL.size)
    mouse.scroll_from_origin(over, 0, 300).perform()
    browser.wait("return scrollY === 300")

    for label, start, end in (
        ("show all memory", 0, 1), ("zoom in", 1 / 4, 3 / 4), ("higher addresses", 1 / 2, 1),
        ("lower addresses", 1 / 4, 3 / 4), ("zoom out", 0, 1),
    ):  # fmt: skip
        browser.find(f'[aria-label="{label}"]').click()
        assert shown(browser) == (start * ALL.size, end * ALL.size), label


def test_the_keyboard_does_it_too(browser: Browser, inspected: Path) -> None:
    browser.show(inspected)
    press = ActionChains(browser.driver)
    press.send_keys(Keys.TAB, Keys.TAB).perform()
    focused = browser.driver.switch_to.active_element
    assert focused.tag_name == "canvas"
    assert focused.value_of_css_property("outline-style") == "solid"
    assert focused.value_of_css_property("outline-width") == "2px"
    half, quarter = ALL.size // 2, ALL.size // 4
    for key, expected in (
        ("+", (quarter, 3 * quarter)), (Keys.ARROW_RIGHT, (half, ALL.size)), (Keys.ARROW_LEFT, (quarter, 3 * quarter)),
        (Keys.END, (half, ALL.size)), (Keys.PAGE_UP, (0, half)), (Keys.PAGE_DOWN, (half, ALL.size)), (Keys.HOME, (0, half)),
        ("-", ALL),
    ):  # fmt: skip
        press.send_keys(key).perform()
        assert shown(browser) == expected, key
    press.send_keys("+", "+", Keys.ARROW_DOWN).perform()
    assert 0 < shown(browser).start - 3 * ALL.size // 8 < ALL.size // 16
    press.send_keys(Keys.ARROW_UP).perform()
    assert shown(browser) == (3 * ALL.size // 8, 5 * ALL.size // 8)
    press.send_keys("0").perform()
    assert shown(browser) == ALL
    # Where there is nothing to scroll, the keys are the page's.
    press.send_keys(Keys.END).perform()
    browser.wait("return scrollY > 0")


def test_the_picture_of_a_difference_is_the_difference(browser: Browser, compared: Path) -> None:
    browser.show(compared)
    letters = dict(made.lively(512)), dict(made.changed(made.lively(512)))
    one, other = ("".join(each[gfn] for gfn in sorted(each)) for each in letters)
    kinds = ["absent" if a == b == made.NONE else "same" if a == b else "only in one" if made.NONE in (a, b) else "changed"
             for a, b in zip(one, other, strict=True)]  # fmt: skip
    for _ in range(4):
        browser.ask(CLICK, "changed")
    found = browser.ask(SQUARES)
    assert len(found) == 512 and {said.split(": ")[1] for said in found} >= {"same", "changed"}
    for said, color in found.items():
        gfn, kind = int(said.removeprefix("gfn 0x").split(",")[0], 16), said.split(": ")[1]
        assert (kind, color[:3]) == (kinds[gfn], [*rgb(COLORS["light"][kind])])


def test_sixteen_gib_are_less_than_a_mib_of_page(browser: Browser, place: Path) -> None:
    gib = 16
    page = page_of(made.write(place / "big.checkpoint", made.lively(gib << 10), made.config(gib << 10)))
    assert page.stat().st_size < 1 << 20
    browser.show(page)
    label = str(browser.find("canvas").get_attribute("aria-label"))
    assert "memory, 0x0 to 0xf0000000 and 0x100000000 to 0x410000000: " in label
    shares = {name: int(share) for share, name in (part.split(" % ") for part in label.split(": ")[1].split(", "))}
    assert 98 <= sum(shares.values()) <= 102 and min(shares[kind] for kind in ("data", "zero", "ballooned")) > 10
    colors = {tuple(color[:3]) for color in browser.ask(SQUARES).values()}
    assert len(colors) > 10 and {rgb(COLORS["light"][kind]) for kind in ("data", "zero")} < colors
