"""A real browser without a screen: Debian's Chromium, driven through its own driver."""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PROGRAMS = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
#: It asks no other host for anything, and runs as root.
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1", "--hide-scrollbars",
)  # fmt: skip

#: The start of a script: the picture's box and pixels.  Pixels of a copy: the console complains of who reads the picture often.
PICTURE = """
  const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
"""


class Browser:
    """A window, and the page that it shows."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.command("Log.enable")

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command of the DevTools protocol and return its answer."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def show(self, page: Path, width: int = 1160, height: int = 900, dark: bool = False, media: str = "") -> None:
        """Open a page in a window of this many pixels."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.look(dark, media)
        self.driver.get(page.as_uri())

    def look(self, dark: bool = False, media: str = "") -> None:
        """Prefer a colour scheme, and take the screen for paper where ``media`` is "print"."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)

    def ask(self, script: str, *arguments: Any) -> Any:
        """Run a script's body in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> None:
        """Wait until a script's body returns what is true.

        :raise TimeoutException: it does not within 5 s.
        """
        WebDriverWait(self.driver, 5, 0.02).until(lambda _: self.ask(script), script)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def complaints(self) -> list[str]:
        """Return what the console has said since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def picture(self, target: Path, height: int | None = None) -> None:
        """Write what is shown as PNG, of the whole page or of ``height`` pixels."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        shot = self.command("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(shot["data"]))

    def paper(self, target: Path) -> None:
        """Print the page to a PDF."""
        printed = self.command("Page.printToPDF", printBackground=True)
        target.write_bytes(base64.b64decode(printed["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    if missing := [str(program) for program in PROGRAMS if not program.exists()]:
        raise RuntimeError(f"there is no {' and no '.join(missing)}; run: make browser")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(PROGRAMS[0])
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(str(PROGRAMS[1])))
        try:
            yield Browser(driver)
        finally:
            driver.quit()
