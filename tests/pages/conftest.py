"""One browser for all tests, and the pages of made checkpoints; a page may not make the console complain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import pyxl
from tests.pages import made
from tests.pages.browser import Browser
from tests.pages.browser import browser as started


@pytest.fixture(scope="session")
def window() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """The browser; what its console says, and what a page loads, fails the test."""
    window.complaints()
    yield window
    assert window.complaints() == []
    assert window.ask("return performance.getEntriesByType('resource').map((each) => each.name)") == []


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="session")
def web1(place: Path) -> Path:
    """A checkpoint of 512 MiB."""
    return made.write(place / "web1.checkpoint", made.lively(512), made.config(512))


@pytest.fixture(scope="session")
def inspected(web1: Path) -> Path:
    """The page of it."""
    return page_of(web1)


@pytest.fixture(scope="session")
def compared(web1: Path) -> Path:
    """The page of what differs between it and a later one."""
    config = made.config(512) | {"on_reboot": "destroy"}
    later = made.write(web1.with_name("web1-later.checkpoint"), made.changed(made.lively(512)), config)
    page = web1.with_name("diff.html")
    assert pyxl("diff", "--html", str(page), str(web1), str(later)).returncode == 1
    return page


def page_of(checkpoint: Path) -> Path:
    """Return the page of a checkpoint, which must be whole."""
    page = checkpoint.with_suffix(".html")
    done = pyxl("inspect", "--html", str(page), str(checkpoint))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return page
