"""`python3 -m pyxl.cli.manual DIRECTORY`: write the manual's pages, and the shells' completion, into a directory."""

import os
import shutil
import sys
import time
from pathlib import Path

from pyxl import __version__
from pyxl.cli import completion
from pyxl.cli.app import COMMANDS
from pyxl.cli.manual import commands


def pages() -> dict[str, str]:
    """Return each page by the name of its file; SOURCE_DATE_EPOCH sets their date, as in every build that repeats."""
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
    of = (date, __version__)
    return {
        "pyxl.1": commands.overview(*of),
        **{f"pyxl-{name}.1": commands.page(name, *of) for name in COMMANDS},
        "pyxl.conf.5": commands.written("pyxl.conf", 5, "this site's defaults of pyxl", *of),
        "pyxl-checkpoint.7": commands.written("pyxl-checkpoint", 7, "a file that holds a guest's state", *of),
    }


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python3 -m pyxl.cli.manual DIRECTORY")
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text)
    for script in completion.SCRIPTS.values():
        shutil.copyfile(Path(completion.__file__).with_name(script), directory / script)


if __name__ == "__main__":
    main()
