"""Restore a checkpoint in dom0 with different damage each time, and report whether a guest ran.

Starting Python takes seconds here, so pyxl is imported once, and each restore is a fork that runs its command line.
"""

import contextlib
import importlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pyxl.cli.app import run
from pyxl.xen.ctrl import Control
from tests.xen.faults.dom0.places import HOME

OUT = HOME / "out"
#: Seconds between two looks whether a guest runs; each look slows the restore.
POLL = 0.05
#: Every tenth flip is this near to one end of the file: headers, the device model's state, the trailer.
ENDS = 1 << 16
RESTORED = "it was restored"


def damages(file: Path, kind: str, seed: int, count: int) -> list[int]:
    """Return the places of the damage: numbers of bits, or lengths in bytes, longest first."""
    numbers = random.Random(seed)
    size = file.stat().st_size
    if kind == "cut":
        return sorted((numbers.randrange(size) for _ in range(count)), reverse=True)
    ends = (*range(ENDS), *range(size - ENDS, size))
    return [
        8 * (numbers.choice(ends) if number % 10 == 9 else numbers.randrange(size)) + numbers.randrange(8)
        for number in range(count)
    ]


@contextlib.contextmanager
def damaged(file: Path, kind: str, where: int) -> Iterator[str]:
    """Damage the file for the body; a flipped bit is flipped back, but a cut file stays cut."""
    if kind == "cut":
        os.truncate(file, where)
        yield f"cut to {where} bytes"
        return
    with file.open("r+b", buffering=0) as stream:
        def flip() -> None:
            (byte,) = os.pread(stream.fileno(), 1, where // 8)
            os.pwrite(stream.fileno(), bytes([byte ^ 1 << where % 8]), where // 8)

        flip()
        try:
            yield f"bit {where % 8} of byte {where // 8} flipped"
        finally:
            flip()


def content_of(file: Path) -> str:
    """Return a hash of what a compressed file holds, of a plain one nothing that is ever equal."""
    done = subprocess.run(f"zstd -dcq {file} | md5sum; exit ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash",
                          capture_output=True, text=True)  # fmt: skip
    return done.stdout if done.returncode == 0 else str(time.monotonic())


def start(tool: str, file: Path) -> int:
    """Start a restore and return its pid."""
    pid = os.fork()
    if pid:
        return pid
    fd = os.open(OUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    if tool == "xl":
        os.execvp("xl", ["xl", "restore", "-e", os.fspath(file)])
    status = 70
    try:
        status = run(["restore", "-e", os.fspath(file)])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def attempt(xen: Control, tool: str, file: Path) -> str:
    """Restore the file; return what went wrong, "" if it was refused and nothing is left."""
    before = {domain.domid for domain in xen.domains()}
    pid = start(tool, file)
    ran = False
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        for domain in xen.domains():
            ran |= domain.domid not in before and not (domain.paused or domain.dying or domain.shutdown_reason is not None)
        time.sleep(POLL)
    status = os.waitstatus_to_exitcode(ended[1])
    left = {domain.domid for domain in xen.domains()} - before
    bad = []
    if ran:
        bad.append("a guest ran")
    if status == 0:
        bad.append(RESTORED)
    elif status not in (1, 2) and tool == "pyxl":
        bad.append(f"status {status}")
    if b"Traceback" in OUT.read_bytes():
        bad.append("a traceback")
    for domid in left:
        bad.append(f"domain {domid} is left")
        subprocess.run(["xl", "destroy", str(domid)], stderr=subprocess.DEVNULL)
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and b"--restore-domain" in (entry / "cmdline").read_bytes():
                bad.append(f"process {entry.name} is left")
    bad += [f"{path} is left" for path in Path("/var/lib/xen").iterdir() if re.match("qemu-|userdata-l", path.name)]
    return "; ".join(bad)


def main() -> None:
    spec = json.loads(sys.argv[1])
    file = Path(spec["file"])
    kind = spec["kind"]
    copy = file
    if kind == "cut":  # from long to short, so one copy is enough
        copy = file.with_name("cut")
        if spec["first"] == 0:
            copy.write_bytes(file.read_bytes())
    where = damages(file, kind, spec["seed"], spec["of"])[spec["first"] : spec["last"]]
    importlib.import_module("pyxl.cli.restore")  # once, not in every fork
    content = content_of(file)
    with Control() as xen:
        for place in where:
            started = time.monotonic()
            with damaged(copy, kind, place) as how:
                bad = attempt(xen, spec["tool"], copy)
                if bad == RESTORED and kind == "flip" and content_of(copy) == content:
                    bad = ""  # bits of a compressed frame that say nothing
            print(json.dumps({"how": how, "bad": bad, "seconds": round(time.monotonic() - started, 1)}), flush=True)


main()
