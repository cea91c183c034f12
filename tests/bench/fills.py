"""The guests that are saved: of several sizes, idle, or full of text or of random bytes.

The lab's guests fill themselves with random bytes.  One of text has an initrd with a second archive behind the lab's
own: a sample of text, and a program that copies it until there is enough, then goes on with the guest's init.
"""

import re
from typing import NamedTuple

from pyxl.lab.recipe import GUEST_FILES, Guest
from tests.bench.options import FILLED, FILLED_MIB, SIZES
from tests.standin.guest import text
from tests.xen.conftest import PLACE, Dom0

NAME = "bench"
CONFIG = f"{PLACE}/{NAME}.cfg"
INITRD = f"{PLACE}/{NAME}.initrd"
#: It boots, and makes random bytes, in a machine emulated within an emulated machine.
BOOT_SECONDS = 900
#: MiB of a sample; no window of zstd's level 1 has two of them.
SAMPLE_MIB = 4
#: What a guest of 512 MiB can be full of, and half of it.
MOST = 3 / 4
HALF = 1 / 2
FILL = """#!/bin/sh
/bin/busybox mkdir /text
/bin/busybox mount -t tmpfs -o size=90% tmpfs /text
copy=0
while [ $copy -lt {copies} ]; do
    /bin/busybox cat /sample > /text/$copy
    copy=$((copy + 1))
done
exec /init
"""
PACK = (
    "cd {place}/fill; printf 'fill\\nsample\\n' | cpio --quiet -o -H newc | gzip > archive; "
    "cat {initrd} archive > {target}; rm -r {place}/fill"
)


class Spec(NamedTuple):
    """A guest of so many MiB, and what it is full of: "idle", "text" or "random"."""

    mib: int
    fill: str

    def __str__(self) -> str:
        return f"{self.mib} MiB, {self.fill}"


def specs() -> list[Spec]:
    """Return the guests that were asked for."""
    idle = [Spec(mib, "idle") for mib in SIZES if "idle" in FILLED]
    return idle + [Spec(FILLED_MIB, fill) for fill in FILLED if fill != "idle"]


def boot(dom0: Dom0, spec: Spec) -> None:
    """Have a guest, alone, that has filled its memory.

    :raise LabLost: the emulator disturbed it.
    """
    for name in dom0.domains():
        dom0.run(f"xl destroy {name}")
    fill = round(MOST * spec.mib) if spec.fill == "random" else 0
    guest = Guest(NAME, memory=spec.mib, fill=fill, arguments="rdinit=/fill" if spec.fill == "text" else "")
    config = guest.config()
    if spec.fill == "text":
        dom0.put(f"{PLACE}/fill/fill", FILL.format(copies=round(HALF * spec.mib / SAMPLE_MIB)).encode(), 0o755)
        dom0.put(f"{PLACE}/fill/sample", text(SAMPLE_MIB << 20))
        dom0.run(PACK.format(place=PLACE, initrd=f"{GUEST_FILES}/initrd", target=INITRD))
        config = re.sub("^ramdisk = .*$", f'ramdisk = "{INITRD}"', config, flags=re.MULTILINE)
    dom0.put(CONFIG, config.encode())
    dom0.run(f"xl create {CONFIG}")
    dom0.tick(NAME, BOOT_SECONDS)
