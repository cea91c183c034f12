"""For how long a guest was away, by its own clock."""

import json

from tests.xen.clock import forget, longest_gap, watch
from tests.xen.conftest import PLACE, Dom0

#: What the guest itself may need, once it runs again, to let its processes do so, in seconds.
THAW = 1.0


def test_the_freeze_that_is_said_is_what_the_guest_saw(dom0: Dom0) -> None:
    dom0.wake("tick")
    watch(dom0, "tick")
    for options in ("--live -c", "-c"):
        forget(dom0, "tick")
        saved = json.loads(dom0.pyxl(f"save {options} --json tick {PLACE}/checkpoint").stdout)
        gap = longest_gap(dom0, "tick")
        assert saved["freeze_seconds"] / 2 < gap < saved["freeze_seconds"] + THAW
        if "--live" in options:
            assert gap < sum(each["seconds"] for each in saved["rounds"]), "it did not run while it was copied"
