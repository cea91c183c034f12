#!/usr/bin/python3
"""A sandbox: each line goes to a guest that has just been put back to its checkpoint, and what it changed is counted.

    sandbox.py CHECKPOINT NAME LINE…

NAME is cloned from CHECKPOINT, and gone in the end.  A line goes to the guest's first serial port, which is a pty; what
the guest says to it, and how many pages of its memory are others afterwards, is printed as JSON, a line each.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import termios
import time
import tty
from pathlib import Path
from typing import Any

#: Seconds for which a guest may say nothing more before it is looked at.
QUIET_SECONDS = 3.0
#: Seconds that a guest may take to say something.
ANSWER_SECONDS = 60.0


def pyxl(*words: str, statuses: tuple[int, ...] = (0,)) -> Any:
    """Run pyxl, and return what it says as JSON, None where it says nothing."""
    done = subprocess.run(["pyxl", *words], stdout=subprocess.PIPE, text=True)
    if done.returncode not in statuses:
        sys.exit(f"pyxl {' '.join(words)} failed")
    return json.loads(done.stdout) if done.stdout else None


def talk(domid: int, line: str) -> str:
    """Type a line on a guest's serial port, and return what it says."""
    path = subprocess.run(
        ["xenstore-read", f"/local/domain/{domid}/serial/0/tty"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(fd)
        termios.tcflush(fd, termios.TCIFLUSH)
        os.write(fd, f"\n{line}\n".encode())
        said, end = b"", time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < end:
            if not select.select([fd], [], [], QUIET_SECONDS)[0]:
                if said.strip():
                    break
                continue
            said += os.read(fd, 4096)
    finally:
        os.close(fd)
    return said.decode(errors="replace").strip()


def main(checkpoint: str, name: str, *lines: str) -> None:
    made = pyxl("clone", "--json", checkpoint, name)
    domid = made["guests"][0]["domid"]
    try:
        with tempfile.TemporaryDirectory(dir=Path(checkpoint).absolute().parent) as place:
            after = f"{place}/after"
            for line in lines:
                said = talk(domid, line)
                pyxl("save", "-c", "--json", "--progress", "none", name, after)
                pages = pyxl("diff", "--json", checkpoint, after, statuses=(0, 1))["pages"]
                print(json.dumps({"line": line, "said": said, "changed": pages["changed"]}), flush=True)
                domid = pyxl("revert", "--json", name)["domid"]
    finally:
        with contextlib.suppress(SystemExit):
            pyxl("clone", "--discard", "--json", name)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit((__doc__ or "").strip())
    main(*sys.argv[1:])
