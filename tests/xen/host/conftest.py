"""dom0 for tests that refuse or save, and leave all as it was."""

from collections.abc import Iterator

import pytest

from tests.xen.conftest import Dom0


@pytest.fixture
def host(shared_dom0: Dom0) -> Iterator[Dom0]:
    """dom0; afterwards it must have the same domains, and nothing of ours."""
    before = shared_dom0.domains()
    yield shared_dom0
    assert shared_dom0.domains() == before
    assert shared_dom0.left_behind() == []
