"""The lab is as the tests in this folder expect; the time of this file is the wait for the lab."""

from tests.xen.conftest import GUESTS, Dom0


def test_dom0_is_one_of_real_xen_with_the_snapshot_s_guests(dom0: Dom0) -> None:
    said = dom0.run("xl info").stdout
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in said.splitlines())}
    assert f"{info['xen_major']}.{info['xen_minor']}" == dom0.lab.suite.xen
    assert "hvm" in info["virt_caps"]
    assert tuple(dom0.domains()) == GUESTS
    assert {line.split()[4] for line in dom0.run("xl list").stdout.splitlines()[2:]} == {"--p---"}
