"""Where the faults keep their files in dom0, and where a toolstack leaves things."""

from pathlib import Path

HOME = Path("/root/faults")
#: A whole checkpoint of the guest.
GOOD = HOME / "good"
GUEST = "tick"
LIBRARY = Path("/var/lib/xen")
#: Of pyxl's operations that are not over.
JOURNALS = LIBRARY / "pyxl"
