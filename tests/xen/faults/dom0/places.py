"""Where the faults keep their files in dom0, and where a toolstack leaves its own."""

from pathlib import Path

HOME = Path("/root/faults")
#: A whole checkpoint of the guest.
GOOD = HOME / "good"
GUEST = "tick"
LIBRARY = Path("/var/lib/xen")
#: Journals of pyxl's operations that have not ended.
JOURNALS = LIBRARY / "pyxl"
