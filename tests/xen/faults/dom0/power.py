"""A disk loses power while checkpoints go into a repository on it and old ones are removed.

    python3 -m tests.xen.faults.dom0.power COUNT SEED

At a random moment all its sectors fail, pyxl is killed, and the disk comes back as after a boot: what was not synced is
gone.  Prints, as JSON, what came of each time: at which step it was, and which checkpoints were lost.
"""

import json
import os
import random
import shutil
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pyxl.formats.hvm.context import MAGIC, VERSION
from pyxl.formats.stream import libxc_v2, libxl_v2, record, xl_header
from tests.xen.faults.dom0.disk import MOUNT, FailingDisk

PAGE, PAGES = 4096, 2048
CHANGED = 200
#: Old checkpoints that are kept.
KEPT = 3
CONFIG = {"c_info": {"type": "hvm", "name": "power", "uuid": "50e7e550-0000-4000-8000-000000000001"},
          "b_info": {"max_memkb": 8192, "target_memkb": 8192}}  # fmt: skip
#: Xen's state of a guest without a vcpu: a header, and the end.
CONTEXT = struct.pack("<HHI", 1, 0, 24) + struct.pack("<IIQII", MAGIC, VERSION, 0, 0, 0) + bytes(8)
REPOSITORY, FILE = MOUNT / "power", Path("/run/power.file")
SAID = Path("/run/power.said")
STEPS = (("import", FILE, REPOSITORY), ("checkpoints", "prune", "--keep", f"last={KEPT}", REPOSITORY))


class Guest:
    """Memory that changes a little, and the checkpoint of it that xl would write."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._pages = [chance.randbytes(PAGE) for _ in range(PAGES)]

    def save(self) -> None:
        for gfn in self._chance.sample(range(PAGES), CHANGED):
            self._pages[gfn] = self._chance.randbytes(PAGE)
        FILE.write_bytes(b"".join(self._parts()))

    def _parts(self) -> Iterator[bytes]:
        config = json.dumps(CONFIG).encode() + b"\0"
        yield xl_header.XlHeader(xl_header.KNOWN_FLAGS, xl_header.LENGTH.pack(len(config)) + config).encode()
        yield libxl_v2.start()
        yield libxc_v2.IMAGE.pack(libxc_v2.MARKER, libxc_v2.IDENT, libxc_v2.VERSIONS[-1], 0, 0, 0)
        yield libxc_v2.DOMAIN.pack(libxc_v2.TYPE_HVM, libxc_v2.PAGE_SHIFT, 0, 4, 17)
        yield record.encode(libxc_v2.STATIC_DATA_END)
        for first in range(0, PAGES, 1024):
            words = struct.pack("<II1024Q", 1024, 0, *range(first, first + 1024))
            yield record.encode(libxc_v2.PAGE_DATA, b"".join((words, *self._pages[first : first + 1024])))
        yield record.encode(libxc_v2.HVM_CONTEXT, CONTEXT)
        yield record.encode(libxc_v2.END)
        yield record.encode(libxl_v2.END)


def pyxl(*words: object) -> int:
    """Start pyxl in a process of its own, without the time that its start takes; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    from pyxl.cli.app import run

    out = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os._exit(run([str(word) for word in words]))


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def listed() -> set[int]:
    """Return the numbers of the checkpoints that are there."""
    return {int(path.stem) for path in (REPOSITORY / "manifests").glob("[0-9]*.manifest")}


def damaged() -> list[int]:
    """Return the numbers of checkpoints that are listed and not whole."""
    status(pyxl("verify", "--json", REPOSITORY))
    verdicts = [json.loads(line) for line in SAID.read_text().splitlines()]
    assert len(verdicts) == len(listed())
    return [int(each["file"].rpartition("@")[2]) for each in verdicts if each["verdict"] == "broken"]


def lose_power(disk: FailingDisk, guest: Guest, which: int, seconds: float) -> dict[str, object]:
    """Add a checkpoint and remove old ones; so long after the beginning of one of these steps the disk fails.

    Return what was lost.
    """
    guest.save()
    for words in STEPS[:which]:
        assert status(pyxl(*words)) == 0, SAID.read_text()
    before = listed()
    pid = pyxl(*STEPS[which])
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        time.sleep(0.002)
    disk.fail()
    os.kill(pid, signal.SIGKILL)
    died = status(pid) == -signal.SIGKILL
    disk.heal()
    lost = sorted(set(sorted(before)[-KEPT:]) - listed())  # others may have been removed
    return {"step": STEPS[which][0], "died": died, "seconds": seconds, "lost": lost, "damaged": damaged()}


def main(count: int, seed: int) -> None:
    chance = random.Random(seed)
    disk = FailingDisk()
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    guest = Guest(chance)
    for _ in range(KEPT + 1):
        guest.save()
        began = time.monotonic()
        assert status(pyxl(*STEPS[0])) == 0, SAID.read_text()
        span = time.monotonic() - began
    print(json.dumps([lose_power(disk, guest, which % 2, chance.random() * span) for which in range(count)]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
