"""`python -m tests.golden [NAME…]`: make the golden files again, on the lab."""

import gzip
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from pyxl.lab.instance import Lab
from pyxl.lab.recipe import DEFAULT_SUITE
from pyxl.lab.steps import Steps
from tests.fuzz.damage import trimmed
from tests.xen.conftest import Dom0
from tests.xen.link import NAME, SUITE

HERE = Path(__file__).parent
FILE = "/var/tmp/golden"
#: A guest with Xen's console and an idle init: the kernel handles a suspend request by itself.
OTHER_TYPE = """
printf '%s\\n' 'name = "{type}"' 'type = "{type}"' 'memory = 128' 'vcpus = 2' \\
    'kernel = "/var/lib/pyxl-lab/vmlinuz"' 'ramdisk = "/var/lib/pyxl-lab/initrd"' \\
    'cmdline = "console=hvc0 quiet rdinit=/bin/busybox -- sleep 1000000"' > /root/{type}.cfg
xl create /root/{type}.cfg
for i in $(seq 300); do
    [ "$(xenstore-read /local/domain/$(xl domid {type})/control/feature-suspend)" = 1 ] && break; sleep 0.5; done
sleep 5
"""
#: `xl migrate` with a receiver that prints what xl waits for, and keeps the stream.
LIVE = f"""
printf '%s\\n' '#!/bin/sh' 'printf "xl migration receiver ready, send binary domain data.\\n"' 'exec timeout 30 cat > {FILE}' > /root/receive
chmod +x /root/receive
xl migrate -s "" {{guest}} /root/receive || true
"""


class Sample(NamedTuple):
    """How to make a file: the snapshot's guest to run first, if any, the command in dom0, and the Debian of that."""

    guest: str
    command: str
    suite: str = DEFAULT_SUITE


SAMPLES = {
    "pyxl-hvm": Sample("tick", f"pyxl save -c tick {FILE}"),
    "pyxl-hvm-2vcpus-disks": Sample("disk", f"pyxl save -c disk {FILE}"),
    "xl-hvm": Sample("tick", f"xl save -c tick {FILE}"),
    "xl-hvm-2vcpus-disks": Sample("disk", f"xl save -c disk {FILE}"),
    "xl-hvm-nopv": Sample("plain", f"xl save -c plain {FILE}"),
    "xl-hvm-live": Sample("tick", LIVE.format(guest="tick")),
    "xl-hvm-4.20": Sample("tick", f"xl save -c tick {FILE}", "trixie"),
    "xl-pv": Sample("", OTHER_TYPE.format(type="pv") + f"xl save -c pv {FILE}; xl destroy pv"),
    "xl-pvh": Sample("", OTHER_TYPE.format(type="pvh") + f"xl save -c pvh {FILE}; xl destroy pvh"),
}  # fmt: skip


def main() -> None:
    names = sys.argv[1:] or [name for name, sample in SAMPLES.items() if sample.suite == SUITE]
    lab = Lab(NAME, suite=SUITE, steps=Steps())
    with lab.session("the golden files"), tempfile.TemporaryDirectory() as place:
        lab.up()
        dom0 = Dom0(lab)
        for name in names:
            guest, command, suite = SAMPLES[name]
            assert suite == SUITE, f"{name} is made with PYXL_TEST_SUITE={suite}"
            dom0.start_over()
            if guest:
                dom0.wake(guest)
            print(dom0.run(f"rm -f {FILE}\n{command}\nsync; ls -l {FILE}").stdout, flush=True)
            whole = Path(place) / "whole"
            lab.get(FILE, whole)
            data = trimmed(whole)
            (HERE / f"{name}.ckpt.gz").write_bytes(gzip.compress(data, 9, mtime=0))
            print(f"{name}: {whole.stat().st_size} bytes, {len(data)} kept", flush=True)
        lab.down()


if __name__ == "__main__":
    main()
