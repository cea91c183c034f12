"""Both drivers of the device model on one kind of guest, with disks and a NIC: the same suite, twice.

And what is the xenstore protocol's own: its order of events, and every way in which a device model can fail it.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests.xen.conftest import PLACE, Dom0, Tick
from tests.xen.guests.test_journey import went_on
from tests.xen.link import ROOT

FILE = f"{PLACE}/checkpoint"
#: The guest with disks and a NIC for the drivers themselves; for what is the protocol's alone one that is back sooner.
WHOLE, NAME = "disk", "tick"
CONFIG = f"/etc/xen/lab/{NAME}.cfg"
FAULTY = Path(__file__).with_name("faulty_dm.py")
DISKS = {WHOLE: "disk-hda.raw disk-hdb.qcow2", NAME: ""}


@pytest.fixture
def dom0(shared_dom0: Dom0) -> Dom0:
    """dom0 with what the last test left of the guest, which is most often the guest itself; or its snapshot."""
    if not shared_dom0.clean:
        shared_dom0.start_over()
    shared_dom0.run(f"rm -rf {PLACE}/* /var/lib/xen/qemu-save.*")
    return shared_dom0


def begin(dom0: Dom0, control: str, name: str = NAME) -> Tick:
    """Have a guest running under a driver: the last test's, or else out of a checkpoint of the snapshot's.

    A test that leaves it with another front or qemu than libxl started destroys it.
    """
    fresh, disks = f"/root/fresh-{name}", DISKS[name]  # a disk belongs to its memory, by its time
    copy = f"cp --sparse=always --preserve=timestamps {disks}" if disks else "true"
    if dom0.run(f"[ -d {fresh} ]", check=False).status:
        dom0.wake(name)
        dom0.pyxl(f"save {name} /root/{name}")
        dom0.run(f"mkdir {fresh}; mv /root/{name} {fresh}/checkpoint; cd /var/lib/pyxl-lab; {copy} {fresh}")
    if dom0.domid(name) is not None:
        if announced(dom0, name) == (control == "xenstore"):
            return dom0.tick(name)
        dom0.pyxl(f"destroy {name}")
    dom0.run(f"cd {fresh}; {copy} /var/lib/pyxl-lab; pyxl restore --dm-control {control} checkpoint")
    assert announced(dom0, name) == (control == "xenstore")
    return dom0.tick(name)


def root(dom0: Dom0, name: str = NAME) -> str:
    return f"/local/domain/0/device-model/{dom0.domid(name)}"


def announced(dom0: Dom0, name: str = NAME) -> bool:
    return dom0.run(f"xenstore-read {root(dom0, name)}/control", check=False).stdout == "xenstore\n"


def front(dom0: Dom0) -> str:
    """Return the pid of pyxl-qemu-dm's front; qemu itself has another name by then."""
    return dom0.run("pgrep -f '[p]yxl-qemu-dm -xen-domid'").stdout.strip()


def qemu(dom0: Dom0) -> str:
    """Return the pid that libxl knows as the device model's."""
    return dom0.run(f"xenstore-read /local/domain/{dom0.domid(NAME)}/image/device-model-pid").stdout.strip()


def keys(dom0: Dom0, name: str = NAME) -> set[str]:
    """Return the keys that only a command in progress may have, if any are there."""
    listed = dom0.run(f"xenstore-ls {root(dom0, name)}").stdout
    return {line.split()[0] for line in listed.splitlines()} & {"command", "error", "size", "cmd", "ret"}


def in_pyxl(dom0: Dom0, code: str) -> str:
    """Return a command line that runs ``code`` with the guest's driver as ``model``, and its monitor kept away."""
    code = (
        "import os; from pyxl.dm import open_dm; from pyxl.ops.suspend import resume, suspend\n"
        "from pyxl.checkpoint.journal import Journal; from pyxl.xen.host import XenHost; from pyxl.xen.store import Store\n"
        f"with XenHost('/dev/null') as xen, Store() as store, Journal('test', xen.domain({dom0.domid(NAME)}).uuid, '{NAME}'):\n"
        f"    model = open_dm(xen.domain({dom0.domid(NAME)}), store)\n"
        f"    {code}\n"
    )
    return f"cd /opt/pyxl; python3 -c {shlex.quote(code)}"


@pytest.fixture(params=["qmp", "xenstore"], scope="module")
def control(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_guest_s_life(dom0: Dom0, control: str) -> None:
    """A write to its disk, save -c, save, and a restore under the other driver."""
    before = begin(dom0, control, WHOLE)
    dom0.ask(WHOLE, "wrote /mnt/a/before", "write /mnt/a/before one")
    assert "running on" in dom0.pyxl(f"save -c {WHOLE} {FILE}.1").stdout
    went_on(before, dom0.tick(WHOLE))
    assert keys(dom0, WHOLE) == set()
    dom0.pyxl(f"save {WHOLE} {FILE}")
    assert dom0.left_behind() == []
    assert dom0.run("pgrep -f '[p]yxl-qemu-dm -xen-domid' || true").stdout == ""

    other = {"qmp": "xenstore", "xenstore": "qmp"}[control]
    dom0.pyxl(f"restore --dm-control {other} {FILE}")
    assert announced(dom0, WHOLE) == (other == "xenstore")
    went_on(before, dom0.tick(WHOLE))
    assert dom0.ask(WHOLE, "^read /mnt/a/before", "read /mnt/a/before").endswith(" one")
    dom0.pyxl(f"destroy {WHOLE}")
    assert dom0.left_behind() == []


def test_log_dirty_on_and_off(dom0: Dom0, control: str) -> None:
    """On a running guest, off where it is off too, which alone would have qemu abort: each order is done, its keys are gone, and the guest goes on."""
    before = begin(dom0, control)
    dom0.run(in_pyxl(dom0, "[model.log_dirty(on) for on in (False, True, False, False)]"))
    assert keys(dom0) == set()
    went_on(before, dom0.tick(NAME))


def test_stock_xl_saves_and_restores_a_guest_under_the_front(dom0: Dom0) -> None:
    before = begin(dom0, "xenstore")
    dom0.run(f"xl save -c {NAME} {FILE}.1")
    went_on(before, dom0.tick(NAME))
    dom0.run(f"xl save {NAME} {FILE}")
    dom0.run(f"xl restore {FILE} 2>&1")
    went_on(before, dom0.tick(NAME))
    assert announced(dom0)
    dom0.pyxl(f"save {NAME} {FILE}")
    dom0.run(f"xl restore {FILE} 2>&1")
    went_on(before, dom0.tick(NAME))


def test_the_front_is_small_and_idle_and_ends_with_its_qemu(dom0: Dom0) -> None:
    begin(dom0, "xenstore")
    pid = front(dom0)
    resident = int(dom0.run(f"awk '/VmRSS/ {{ print $2 }}' /proc/{pid}/status").stdout)
    assert resident <= 16 << 10
    used = f"cut -d' ' -f14,15 /proc/{pid}/stat"
    assert dom0.run(f"{used}; sleep 5; {used}").stdout.split()[:2] == dom0.run(used).stdout.split()
    assert int(dom0.run(f"ls /proc/{pid}/fd | wc -l").stdout) == 9
    # What libxl signals and waits for is qemu itself: the front has no signal to forward and no status to pass on.
    assert dom0.run(f"readlink -f /proc/{qemu(dom0)}/exe").stdout.strip().endswith("/xen-qemu-system-i386")
    dom0.pyxl(f"destroy {NAME}")
    dom0.run(f"for i in $(seq 40); do [ -d /proc/{pid} ] || exit 0; sleep 0.1; done; exit 1")
    assert "qemu has gone" in dom0.run(f"cat /var/log/xen/qemu-dm-{NAME}.log").stdout


@pytest.mark.soak
def test_physmap_keys_go_with_the_guest(dom0: Dom0) -> None:
    """Old qemus kept them; they are planted here, since a current one has none."""
    begin(dom0, "xenstore")
    entry = f"{root(dom0)}/physmap/a0000000"
    dom0.run(f"xenstore-write {entry}/start_addr f0000000 {entry}/size 800000 {entry}/name vga.vram")
    dom0.pyxl(f"save {NAME} {FILE}")
    dom0.pyxl(f"restore -p {FILE}")
    assert announced(dom0)
    found = dom0.run(f"cd /; for k in start_addr size name; do xenstore-read {root(dom0)}/physmap/a0000000/$k; done").stdout
    assert found.split() == ["f0000000", "800000", "vga.vram"]
    dom0.pyxl(f"destroy {NAME}")


@pytest.mark.soak
def test_qemu_dm_s_own_way_back(dom0: Dom0) -> None:
    """-loadvm FILE, as qemu-traditional was given it, in the place of libxl's -incoming."""
    before = begin(dom0, "xenstore")
    dom0.pyxl(f"save {NAME} {FILE}")
    wrapper = (
        "#!/bin/bash\nfor word; do if [[ $last = -incoming ]]; then set -- \"$@\" /proc/self/fd/${word#fd:}; "
        "elif [[ $word = -incoming ]]; then set -- \"$@\" -loadvm; else set -- \"$@\" \"$word\"; fi; last=$word; shift; done\n"
        "echo \"given: $*\" >&2\nexec /opt/pyxl/helper/pyxl-qemu-dm \"$@\"\n"
    )
    dom0.put("/root/old/pyxl-qemu-dm", wrapper.encode(), 0o755)
    dom0.run(f"(cat {CONFIG}; echo 'device_model_override = \"/root/old/pyxl-qemu-dm\"') > /root/old.cfg")
    dom0.pyxl(f"restore /root/old.cfg {FILE}")
    went_on(before, dom0.tick(NAME))
    assert "-loadvm /proc/self/fd/" in dom0.run(f"cat /var/log/xen/qemu-dm-{NAME}.log").stdout
    dom0.pyxl(f"destroy {NAME}")


# As pyxl/dm/README.md has it.
ORDER = """
command save
command -
size N
state paused
size -
command continue
command -
state running
size -
state running
""".split("\n")[1:-1]


def test_the_order_of_events_of_one_save(dom0: Dom0) -> None:
    """xenstored's own record of every write to the device model's keys: `KEY VALUE`, - for a removal."""
    begin(dom0, "xenstore")
    dom0.run("xenstore-control logfile /root/xenstored.log; xenstore-control log on")
    dom0.pyxl(f"save -c {NAME} {FILE}")
    dom0.run("xenstore-control log off")
    traced = dom0.run("grep -aE '^(io: )?IN .* (WRITE|RM) ' /root/xenstored.log").stdout
    # qemu writes its state by a path relative to its domain.
    pattern = rf"\((?:/local/domain/0/)?device-model/{dom0.domid(NAME)}/(command|state|size|logdirty/cmd|logdirty/ret) (.*?) *\)"
    events = [f"{key} {value or '-'}" for key, value in re.findall(pattern, traced)]
    assert [re.sub(r"^size \d+", "size N", event) for event in events] == ORDER
    readme = (ROOT / "pyxl/dm/README.md").read_text()
    assert "\n".join(events_of_readme(readme)) == "\n".join(ORDER)


def events_of_readme(text: str) -> list[str]:
    """Return the recording in the README, without who wrote what."""
    block = text.split("```recording\n")[1].split("```")[0]
    return [" ".join(line.split()[1:3]) for line in block.splitlines()]


FAILURES = [
    ("refuses", "save: State blocked by device 0000:00:04.0"),
    ("missing", "No such file or directory"),
    ("empty", "it wrote no state"),
    ("half", "the state that it wrote is not whole: 500 of 1008 bytes"),
    ("confused", 'its state became "confused" instead of "paused"'),
]


def misbehave(dom0: Dom0, mode: str) -> None:
    """Put a front that misbehaves in the place of the real one."""
    dom0.put("/root/faulty.py", FAULTY.read_bytes())
    prefix = root(dom0)
    dom0.run("pkill -9 -f '[p]yxl-qemu-dm -xen-domid|[f]aulty.py'; rm -f /root/faulty.log")
    dom0.run(
        f"(python3 /root/faulty.py {dom0.domid(NAME)} {mode} > /root/faulty.log 2>&1 &); "
        "for i in $(seq 100); do grep -q ready /root/faulty.log && break; sleep 0.1; done"
    )
    assert dom0.run(f"xenstore-read {prefix}/control").stdout == "xenstore\n"


def unharmed(dom0: Dom0, before: Tick) -> None:
    """The guest goes on as it was, and nothing of the failed save is left."""
    went_on(before, dom0.tick(NAME))
    assert keys(dom0) == set()
    assert dom0.left_behind() == []
    assert dom0.run(f"ls {PLACE}").stdout == ""


@pytest.mark.soak
def test_a_device_model_that_fails_the_protocol(dom0: Dom0) -> None:
    before = begin(dom0, "xenstore")
    for mode, said in FAILURES:
        misbehave(dom0, mode)
        message = dom0.refused(f"save {NAME} {FILE}")
        assert said in message and "guest resumed, nothing written" in message, (mode, message)
        unharmed(dom0, before)
    dom0.pyxl(f"destroy {NAME}")


@pytest.mark.soak
def test_a_device_model_that_answers_late_or_twice(dom0: Dom0) -> None:
    """It is waited for; an answer too many harms nothing.  Its state is none that qemu wrote, so only -c tells."""
    before = begin(dom0, "xenstore")
    for mode in ("late", "twice"):
        misbehave(dom0, mode)
        dom0.pyxl(f"save -c {NAME} {FILE}")
        dom0.run(f"rm {FILE}")
        unharmed(dom0, before)
    dom0.pyxl(f"destroy {NAME}")


@pytest.mark.soak
def test_a_front_that_is_gone(dom0: Dom0) -> None:
    before = begin(dom0, "xenstore")
    dom0.run(f"kill -9 {front(dom0)}")
    message = dom0.refused(f"save {NAME} {FILE}")
    assert "it did not take the command within 10 s" in message and "guest resumed, nothing written" in message
    unharmed(dom0, before)
    dom0.pyxl(f"destroy {NAME}")


def test_a_front_that_dies_in_a_save(dom0: Dom0) -> None:
    """Between qemu's stop and its resume: qemu goes on over libxl's socket."""
    before = begin(dom0, "xenstore")
    domid = dom0.domid(NAME)
    dom0.run(in_pyxl(dom0, f"suspend(xen, store, {domid}); model.stop_and_save(); os.kill({front(dom0)}, 9); "
                           f"resume(xen, store, model, {domid})"))  # fmt: skip
    unharmed(dom0, before)
    dom0.pyxl(f"destroy {NAME}")


def test_a_qemu_that_is_stopped(dom0: Dom0, control: str) -> None:
    """It answers nothing until somebody lets it go on; then the guest is as it was."""
    before = begin(dom0, control)
    pid = qemu(dom0)
    dom0.run(f"kill -STOP {pid}")
    message = dom0.refused(f"save {NAME} {FILE}")
    assert re.search("did not answer|timed out", message), message
    assert "preflight: " in message
    dom0.run(f"kill -CONT {pid}")
    unharmed(dom0, before)
    assert "running on" in dom0.pyxl(f"save -c {NAME} {FILE}").stdout


def test_a_qemu_that_was_killed(dom0: Dom0, control: str) -> None:
    """Nothing brings a device model back; but the guest's vcpus go on, and the message says what is wrong."""
    begin(dom0, control)
    dom0.run(f"kill -9 {qemu(dom0)}; sleep 1")
    message = dom0.refused(f"save {NAME} {FILE}")
    assert "preflight: " in message
    assert re.search("Connection refused|No such file|closed its QMP socket", message), message
    state = dom0.pyxl(f"list {NAME}").stdout.splitlines()[1].split()[4]
    assert set(state) <= set("rb-"), state
    assert dom0.run(f"ls {PLACE}").stdout == ""
    dom0.pyxl(f"destroy {NAME}")
