"""For how long a guest was away, by its own clock."""

import json

from tests.xen.clock import forget, longest_gap, watch
from tests.xen.conftest import PLACE, Dom0

#: The guest's clock has hundredths of a second, and it looks at it fifty times a second.
TICKS = 0.05


def test_the_freeze_that_is_said_is_what_the_guest_saw(dom0: Dom0) -> None:
    dom0.wake("tick")
    watch(dom0, "tick")
    for options in ("--live -c", "-c"):
        forget(dom0, "tick")
        saved = json.loads(dom0.pyxl(f"save {options} --json tick {PLACE}/checkpoint").stdout)
        dom0.tick("tick")
        gap = longest_gap(dom0, "tick")
        # It stands still a little after it is asked to suspend, and until it is let go.
        assert saved["freeze_seconds"] / 2 < gap < saved["freeze_seconds"] + TICKS + 0.2
        if "--live" in options:
            assert gap < sum(each["seconds"] for each in saved["rounds"]), "it did not run while it was copied"
