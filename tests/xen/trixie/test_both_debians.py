"""A guest goes from Debian 12 (Xen 4.17) to Debian 13 (Xen 4.20), and cannot come back.

One of the two hosts is the lab of the other tests; the other one is stock, as after an installation.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.files.inspect import inspect
from pyxl.formats.hvm import context
from pyxl.formats.hvm.context import LAPIC, LAYOUTS
from pyxl.lab.instance import Lab
from pyxl.lab.recipe import SUITES
from pyxl.lab.steps import Steps
from pyxl.model import releases
from tests.xen.conftest import PLACE, Dom0
from tests.xen.guests.test_journey import went_on
from tests.xen.link import NAME, ROOT, SUITE

FROM_4_17, FROM_4_20, FROM_XL = f"{PLACE}/from-4.17", f"{PLACE}/from-4.20", f"{PLACE}/from-xl"

RELEASE = "cd /sys/hypervisor/version; echo $(cat major).$(cat minor)$(cat extra)"


@pytest.fixture(scope="module")
def stock(host_of_lab: Dom0) -> Iterator[Dom0]:
    """A host of the other Debian."""
    (other,) = SUITES.keys() - {SUITE}
    lab = Lab(f"{NAME}-{other}", suite=other, steps=Steps())
    with lab.session("the tests"):
        lab.boot()
        lab.push(ROOT)
        host = Dom0(lab)
        host.run(f"mkdir -p {PLACE}")
        yield host
        host.link.close()
        lab.down()


def carry(source: Dom0, target: Dom0, path: str, local: Path) -> Path:
    """Copy a file from one host to the other, and keep it here."""
    source.lab.get(path, local)
    target.lab.put(local, path)
    return local


def lapics(file: Path) -> set[int]:
    """Return the lengths of the entries LAPIC of a checkpoint."""
    records = inspect(file, contents=True).records
    (entries,) = (record.content for record in records if record.name == "HVM_CONTEXT")
    return {entry["size"] - context.DESCRIPTOR.size for entry in entries if entry["type"] == LAPIC}


def test_a_guest_goes_to_a_later_xen_and_is_refused_by_the_earlier_one(dom0: Dom0, stock: Dom0, tmp_path: Path) -> None:
    old, new = sorted((dom0, stock), key=lambda host: host.lab.suite.python)
    if old is stock:
        old.run("xl create -q /etc/xen/lab/tick.cfg")
    before = old.wake("tick")
    new.run("xl destroy tick", check=False)

    old.pyxl(f"save --compress tick {FROM_4_17}")
    first = carry(old, new, FROM_4_17, tmp_path / "first")
    new.pyxl(f"restore {FROM_4_17}")
    between = new.tick("tick")
    went_on(before, between)

    # What 4.20 has saved is whole, and each tool takes what the other has written.
    new.pyxl(f"save tick {FROM_4_20}")
    assert ": whole: " in new.pyxl(f"verify {FROM_4_20}").stdout
    new.run(f"xl restore {FROM_4_20}")
    # xl's monitor stays there after a suspend, and nobody else is to act on the guest's end.
    assert "nobody watched" not in new.pyxl(f"save -c tick {FROM_4_20}").stderr
    assert new.run("pgrep -f '[/]pyxl-monitor '", check=False).stdout == ""
    new.run(f"xl save tick {FROM_XL}")
    said = new.pyxl(f"verify {FROM_XL}", check=False)
    assert (said.status, "suspicious" in said.stdout) == (3, False), said.stdout
    new.pyxl(f"restore {FROM_XL}")
    went_on(between, new.tick("tick"))

    # 4.17 does not load it; what Xen and libxc say of that comes only when the guest's memory is there.
    new.run(f"zstd -q -1 --rm {FROM_XL}")
    last = carry(new, old, f"{FROM_XL}.zst", tmp_path / "last.zst")
    old.run(f"zstd -q -d {FROM_XL}.zst")
    domains = old.domains()
    refused = old.refused(f"restore {FROM_XL}")
    assert "does not load what Xen 4.20 has saved of the guest: LAPIC of 32 bytes, where it takes 24" in refused
    assert "Restore it on a host with the release of Xen that has saved it" in refused
    forced = old.pyxl(f"restore --force {FROM_XL}", check=False)
    assert (forced.status, "passed over by --force: this host's Xen" in forced.stderr) == (1, True), forced.stderr
    assert "HVM context" in old.run(f"xl restore {FROM_XL} 2>&1", check=False).stdout
    assert old.domains() == domains

    # The table of releases says what each of them saves.
    subprocess.run(["zstd", "-dq", last, "-o", tmp_path / "last"], check=True)
    for host, file in ((old, first), (new, tmp_path / "last")):
        release = releases.parsed(host.run(RELEASE).stdout)
        assert lapics(file) == {releases.entry_limit(LAPIC, LAYOUTS[LAPIC].size, release)}

    new.pyxl("destroy tick")
    new.pyxl("create /etc/xen/lab/tick.cfg")
    new.first_tick("tick")
