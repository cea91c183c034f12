"""What --force does: a check that may be wrong is passed over, and the result says so."""

from collections.abc import Callable

from pyxl.errors import PyxlError


def unless_forced(check: Callable[[], None], force: bool) -> list[str]:
    """Do a check; where ``force`` passes over it, return what it found.

    :raise PyxlError: its refusal, whose hint tells of --force.
    """
    try:
        check()
    except PyxlError as refusal:
        if not force:
            refusal.hint = f"{refusal.hint} `--force` passes over this check.".lstrip()
            raise
        return [f"passed over by --force: {refusal}"]
    return []
