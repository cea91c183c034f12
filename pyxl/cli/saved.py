"""What is said of a save, to people and to programs."""

from typing import Any

from pyxl.cli.words import size
from pyxl.formats.stream import libxc_v2
from pyxl.model.live import WHY
from pyxl.ops.save import Saved


def away(saved: Saved) -> str:
    """Return for how long the guest was away, and what was left for that time of a live save."""
    if not saved.rounds:
        return f", guest away for {saved.freeze_seconds:.1f} s"
    *before, last = saved.rounds
    why = WHY.get(last.why_last, last.why_last)
    rounds = f"{len(before)} round{'s' * (len(before) > 1)} while it ran"
    return f", {rounds}, guest away for {saved.freeze_seconds:.2f} s for {size(last.pages << libxc_v2.PAGE_SHIFT)}" + (
        f" as {why}" if why else ""
    )


def document(saved: Saved) -> dict[str, Any]:
    """Return what `--json` prints of every save (pyxl/cli/README.md)."""
    return {
        "name": saved.name, "size": saved.size, "stored": saved.stored or saved.size,
        "seconds": round(saved.seconds, 3), "freeze_seconds": round(saved.freeze_seconds, 3),
        "rounds": [{"pages": each.pages, "seconds": round(each.seconds, 3)} for each in saved.rounds],
        "why_last": saved.rounds[-1].why_last if saved.rounds else "",
    }  # fmt: skip
