"""Saves and checkpoints of a guest that writes all the time, each restored and looked at.

The guest rewrites a file from its beginning to its end, each time with another byte: at any moment it holds at most two
bytes, the newer one in front.  A page of the wrong round would stand out.  Half of the time it also reads a disk and
receives from the network, both of which qemu emulates.
"""

import json
import random
from collections.abc import Iterator

from tests.xen.conftest import PLACE, Dom0
from tests.xen.faults.runner import Faults

GUEST = "lives"
FILE, REPOSITORY = f"{PLACE}/live", f"{PLACE}/lives"
WAYS = (
    ("save --live -c", FILE), ("checkpoint", REPOSITORY), ("save --live -c --compress", FILE),
    ("checkpoint --keep last=3", REPOSITORY), ("save --live -c --engine libxc", FILE),
)  # fmt: skip
#: MiB that the guest rewrites once a second.
LOADS = (1, 4, 16)
#: How many bytes the file holds, each counted once where it is repeated; nobody writes to it meanwhile.
BYTES = (
    "sh kill -STOP $writer; killall -STOP dd 2> /dev/null; tr -s '\\000-\\007' < /run/dirtied | wc -c; "
    "killall -CONT dd 2> /dev/null; kill -CONT $writer"
)

HOST, ADDRESS = "10.78.0.1", "10.78.0.2"
#: Makes the guest's disk and config, and sends to it from then on, whether it is there or not.
PREPARE = f"""
mkdir -p {PLACE} /root/lives.d; rm -rf {FILE} {REPOSITORY} /root/lives.raw
head -c 8M /dev/urandom > /root/lives.d/text; truncate -s 24M /root/lives.raw
mkfs.ext4 -q -d /root/lives.d /root/lives.raw
(sed 's/"plain"/"{GUEST}"/' /etc/xen/lab/plain.cfg
echo 'disk = ["format=raw, vdev=hda, access=rw, target=/root/lives.raw"]'
echo 'vif = ["type=ioemu, model=e1000, mac=00:16:3e:78:00:02, bridge=xenbr0, script=vif-lab"]'
echo 'device_model_args = ["-global", "e1000.romfile="]') > /root/lives.cfg
ip addr replace {HOST}/24 dev xenbr0
setsid python3 -c 'import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try: s.sendto(os.urandom(1400), ("{ADDRESS}", 5000))
    except OSError: pass
    time.sleep(0.01)' > /dev/null 2>&1 &
"""
BUSY = (
    f"sh insert net; ifconfig eth0 {ADDRESS} netmask 255.255.255.0 up; (nc -u -l -p 5000 > /dev/null) > /dev/null 2>&1 & "
    "(while :; do echo 3 > /proc/sys/vm/drop_caches; cat /mnt/a/text; sleep 0.2; done) > /dev/null 2>&1 &"
)


def run(faults: Faults, count: int, seed: int) -> Iterator[str]:
    """Do it so many times, and yield what was wrong each time that something was."""
    faults.begin()
    faults.clean_up()
    dom0, chance = faults.dom0, random.Random(seed)
    dom0.run(PREPARE)
    wanted = ""
    for number in range(count):
        if not wanted or number == count // 2:
            wanted = _boot(dom0, is_busy=number >= count // 2)
        way, place = WAYS[number % len(WAYS)]
        load = chance.choice(LOADS)
        dom0.ask(GUEST, "^dirtying", "dirty 0")
        dom0.ask(GUEST, "^sh", "sh rm -f /run/dirtied")
        dom0.ask(GUEST, "^dirtying", f"dirty {load}")
        dom0.ask(GUEST, "^wrote", f"write /run/which {number}")
        if bad := _once(dom0, wanted, way, place, number):
            yield f"{number + 1}, {way}, {load} MiB/s: {bad}"
            wanted = ""


def _boot(dom0: Dom0, *, is_busy: bool) -> str:
    """Have the guest, and return the hash of its memory."""
    dom0.run(f"xl destroy {GUEST}", check=False)
    dom0.pyxl("create /root/lives.cfg")
    found = dom0.first_tick(GUEST).hash
    if is_busy:
        dom0.ask(GUEST, "^sh", BUSY)
    return found


def _once(dom0: Dom0, wanted: str, way: str, place: str, number: int) -> str:
    """Save and restore the guest, and return what is wrong with it then."""
    said = json.loads(dom0.pyxl(f"{way} --json --progress none {GUEST} {place}").stdout)
    dom0.tick(GUEST)
    dom0.ask(GUEST, "^wrote", "write /run/which later")
    dom0.run(f"xl destroy {GUEST}; pyxl restore --progress none {place}")
    held = int(dom0.ask(GUEST, r"^sh \d+", BYTES).split()[1])
    found = dom0.tick(GUEST)
    if found.hash != wanted:
        return f"its memory has the hash {found.hash}"
    if (which := dom0.ask(GUEST, "^read", "read /run/which").split()[-1]) != str(number):
        return f"it is of another moment: {which}"
    return "" if held <= 2 else f"its file holds {held} bytes; {said}"


def table(faults: Faults, count: int) -> int:
    """Print what was wrong, and return how often something was."""
    bad = 0
    for said in run(faults, count, faults.seed):
        bad += 1
        print(f"    {said}", flush=True)
    print(f"saves and checkpoints of a guest that writes: {bad} of {count} were not as they should be", flush=True)
    return bad
