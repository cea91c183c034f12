"""A save of a guest that runs meanwhile: what is in its file is the guest of the moment at which it was suspended."""

import json
from typing import Any

import pytest

from tests.xen.conftest import PLACE, Dom0
from tests.xen.files.test_extract import COMPARE
from tests.xen.guests.test_journey import went_on

FILE, RAW = f"{PLACE}/checkpoint", f"{PLACE}/raw"
#: A disk that qemu emulates, with a file of text, which stays in the cache of a guest that has read it.
DISK, SIZE = "/root/dma.raw", 8 << 20
READ = "read /mnt/a/text"


def live(dom0: Dom0, arguments: str) -> dict[str, Any]:
    """Save a guest while it runs, and return what pyxl says of it."""
    found: dict[str, Any] = json.loads(dom0.pyxl(f"save --live --json {arguments}").stdout)
    return found


@pytest.mark.parametrize("engine", ["direct", pytest.param("libxc", marks=pytest.mark.soak)])
def test_each_page_is_of_the_moment_of_the_freeze(dom0: Dom0, engine: str) -> None:
    dom0.wake("tick")
    dom0.ask("tick", "^dirtying", "dirty 8")
    saved = live(dom0, f"-p --engine {engine} --max-downtime 1 --max-rounds 3 tick {FILE}")
    assert len(saved["rounds"]) > 2, "it did not write while it was saved"
    dom0.pyxl(f"extract --memory raw -o {RAW} {FILE}")
    same, different = map(int, dom0.run(f"python3 -c '{COMPARE}' {dom0.domid('tick')} {RAW}").stdout.split())
    # xenstored, the console and qemu still write, each to its own page.
    assert same > 32_000 and different <= 16


def test_a_guest_that_went_on_comes_back_by_xl_as_it_was(dom0: Dom0) -> None:
    before = dom0.wake("tick")
    dom0.ask("tick", "^dirtying", "dirty 2")
    saved = live(dom0, f"-c tick {FILE}")
    assert saved["after"] == "running on"
    assert sum(each["pages"] for each in saved["rounds"]) > saved["rounds"][0]["pages"] > 32_000
    went_on(before, dom0.tick("tick"))
    assert dom0.pyxl(f"verify {FILE}").stdout.startswith(f"{FILE}: whole")
    dom0.run(f"xl destroy tick; xl restore {FILE}")
    went_on(before, dom0.tick("tick"))


#: Saves the guest, and stops the save-helper once most pages are in the file.
STOPPED = """
(pyxl save --live -c {guest} {file} > /root/said 2>&1; echo $? >> /root/said) > /dev/null 2>&1 &
for i in $(seq 1200); do
    set -- {place}/.*.new
    [ "$(stat -c %s "$1" 2> /dev/null || echo 0)" -gt 100000000 ] && break
    sleep 0.05
done
pkill -STOP -f '/pyxl-save-helper --save-domai[n]'
"""
GO_ON = """
pkill -CONT -f '/pyxl-save-helper --save-domai[n]'
for i in $(seq 1200); do [ "$(tail -1 /root/said)" = 0 ] && exit 0; sleep 0.1; done; cat /root/said; exit 1
"""


@pytest.mark.soak
def test_what_the_device_model_writes_into_the_guest_is_in_the_file(dom0: Dom0) -> None:
    """qemu reads from a disk into pages that are in the file already; it is driven over xenstore, and then over QMP."""
    dom0.run(f"mkdir -p {DISK}.d; base64 -w 63 /dev/urandom | head -c {SIZE} > {DISK}.d/text")
    dom0.run(f"rm -f {DISK}; truncate -s 24M {DISK}; mkfs.ext4 -q -d {DISK}.d {DISK}")
    digest = dom0.run(f"md5sum {DISK}.d/text | cut -c1-32").stdout.strip()
    disk = f'disk = ["format=raw, vdev=hda, access=rw, target={DISK}"]'
    # A kernel that fills each page with zeros before qemu fills it would have Xen log it anyhow.
    dom0.put("/root/dma.sed", b's/"plain"/"dma"/; s/xen_nopv/& init_on_alloc=0/')
    dom0.run(f"(sed -f /root/dma.sed /etc/xen/lab/plain.cfg; echo '{disk}') > /root/dma.cfg")
    dom0.pyxl("create --dm-control xenstore /root/dma.cfg")
    dom0.first_tick("dma")
    control = f"/local/domain/0/device-model/{dom0.domid('dma')}/control"
    for file, then in ((FILE, f"xenstore-rm {control}"), (f"{FILE}.qmp", "xl destroy dma")):
        dom0.run(STOPPED.format(guest="dma", file=file, place=PLACE))
        dom0.ask("dma", "^wrote ", "write /proc/sys/vm/drop_caches 3")
        assert f" {digest} " in dom0.ask("dma", "^read ", READ)
        dom0.run(GO_ON)
        dom0.run(then)
    for file in (FILE, f"{FILE}.qmp"):
        dom0.pyxl(f"restore {file}")
        assert f" {digest} " in dom0.ask("dma", "^read ", READ)
        dom0.run("xl destroy dma")


#: A guest with a network card that qemu emulates: what it receives lies in pages that only qemu has written to, as long
#: as nobody reads it, and frames are longer than 1500 bytes.
#: Its own program for the firmware takes a minute here.
CARD = (
    'vif = ["type=ioemu, model=e1000, bridge=xenbr0, script=vif-lab"]\n'
    'device_model_args = ["-global", "e1000.romfile="]'
)
HOST, ADDRESS, MTU = "10.77.0.1", "10.77.0.2", 4000
LISTEN = (
    f"insert net; ifconfig eth0 {ADDRESS} netmask 255.255.255.0 mtu {MTU} up; mkfifo /run/go; "
    "(nc -l -p 5000 | { read word < /run/go; cat > /run/got; }) > /dev/null 2>&1 &"
)
#: Sends, and keeps the connection open.
SEND = f"""
ip addr add {HOST}/24 dev xenbr0; ip link set xenbr0 mtu {MTU}; ip link set vif{{domid}}.0-emu mtu {MTU}
head -c {{size}} /dev/urandom > /root/sent
python3 -c 'import signal, socket; s = socket.create_connection(("{ADDRESS}", 5000), 60)
s.sendall(open("/root/sent", "rb").read()); signal.pause()' > /dev/null 2>&1 & echo $!
"""
#: Waits until all was sent, and the guest has said so.
ACKNOWLEDGED = """
for i in $(seq 300); do
    [ "$(ss -Htn dst :5000 | awk '{ print $3 }')" = 0 ] && exit 0
    sleep 0.1
done
exit 1
"""
#: More than a pipe takes, less than that and the socket of who does not read.
RECEIVED = 120_000


@pytest.mark.soak
def test_what_the_network_card_receives_is_in_the_file(dom0: Dom0) -> None:
    dom0.put("/root/net.sed", b's/"plain"/"net"/; s/xen_nopv/& init_on_alloc=0/')
    dom0.run(f"(sed -f /root/net.sed /etc/xen/lab/plain.cfg; echo '{CARD}') > /root/net.cfg")
    dom0.pyxl("create /root/net.cfg")
    dom0.first_tick("net")
    dom0.ask("net", "^sh", f"sh {LISTEN}")
    dom0.run(STOPPED.format(guest="net", file=FILE, place=PLACE))
    sender = dom0.run(SEND.format(domid=dom0.domid("net"), size=RECEIVED)).stdout.strip()
    dom0.run(ACKNOWLEDGED)
    dom0.run(GO_ON)
    dom0.run(f"xl destroy net; pyxl restore {FILE}")
    dom0.ask("net", "^sh", f"sh echo > /run/go; until [ $(stat -c %s /run/got) -ge {RECEIVED} ]; do sleep 0.1; done")
    digest = dom0.run("md5sum /root/sent | cut -c1-32").stdout.strip()
    assert dom0.ask("net", "^sh [0-9a-f]{32}", f"sh head -c {RECEIVED} /run/got | md5sum").split()[1] == digest
    dom0.run(f"kill {sender}; xl destroy net; ip addr del {HOST}/24 dev xenbr0")
