"""`python -m tests.pages.screenshots`: make the pictures of pyxl/cli/README.md again, out of made checkpoints."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.pages import made
from tests.pages.browser import browser

PICTURES = Path(__file__).parents[2] / "pyxl" / "cli" / "page"
WIDTH, HEIGHT = 920, 880
#: The commands, with how each exits; the last two make the pages.
COMMANDS = {
    "convert made web1.checkpoint": 0,
    "convert made-later web1-later.checkpoint": 0,
    "inspect --html inspect.html web1.checkpoint": 0,
    "diff --html diff.html web1.checkpoint web1-later.checkpoint": 1,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as name, browser() as window:
        place = Path(name)
        made.write(place / "made", made.lively(512), made.config(512))
        config = made.config(512) | {"on_reboot": "destroy"}
        made.write(place / "made-later", made.changed(made.lively(512)), config)
        for command, status in COMMANDS.items():
            if subprocess.run((sys.executable, "-m", "pyxl", *command.split()), cwd=place).returncode != status:
                sys.exit(f"pyxl {command} failed")
        for page in ("inspect", "diff"):
            window.show(place / f"{page}.html", WIDTH, HEIGHT)
            window.picture(PICTURES / f"{page}.png", HEIGHT)


if __name__ == "__main__":
    main()
