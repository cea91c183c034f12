"""A repository on a disk that loses power at random moments; `make soak` does it a hundred times."""

from tests.xen.conftest import Dom0
from tests.xen.faults import power

COUNT, SEED = 4, 15


def test_a_disk_that_loses_power_loses_no_checkpoint(dom0: Dom0) -> None:
    assert power.lose(dom0, COUNT, SEED) == []
