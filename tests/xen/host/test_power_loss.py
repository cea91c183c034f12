"""The host loses power during a save: what it finds after its boot."""

import pytest

from pyxl.lab import snapshot
from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/checkpoint"
#: Stops the helper when part of the memory is in the new file, and waits until that is on the disk.
HALFWAY = (
    "for i in $(seq 300); do [ $(stat -c %s {new} 2>/dev/null || echo 0) -gt 50000000 ] && break; sleep 0.1; done; "
    "pkill -STOP -f '[p]yxl-save-helper' && sleep 2"
)


def lose_power(dom0: Dom0) -> None:
    """Kill the host, and boot it from its disk as it is."""
    lab = dom0.lab
    meta = lab.meta()
    assert meta is not None
    lab.host.disconnect()
    lab.machine.stop()
    snapshot.start(lab.machine, lab.image_directory(meta), lab.directory / "overlay.qcow2", kvm=meta.kvm)
    lab.host.wait(snapshot.BOOT_SECONDS)
    lab.host.set_clock()


@pytest.mark.soak
def test_a_host_that_loses_power_in_a_save(dom0: Dom0) -> None:
    before = dom0.wake("tick")
    dom0.pyxl(f"save -c tick {FILE}")
    saved = dom0.tick("tick")
    dom0.run(f"(pyxl save tick {FILE} > /dev/null 2>&1 &)")
    dom0.run(HALFWAY.format(new=f"{PLACE}/.checkpoint.*.new"))

    lose_power(dom0)
    assert dom0.domains() == []
    assert [line for line in dom0.left_behind() if line.endswith(".new")] != []
    said = dom0.pyxl("recover --dry-run", check=False)
    assert said.status == 1
    dom0.pyxl("recover")
    assert dom0.left_behind() == []
    assert dom0.pyxl("recover").stdout == "nothing to recover\n"

    # The old checkpoint is whole, and its guest comes back.
    dom0.pyxl(f"verify {FILE}")
    dom0.pyxl(f"restore {FILE}")
    after = dom0.tick("tick")
    assert after.hash == before.hash
    assert before.counter < after.counter < saved.counter + 30
    dom0.start_over()
