"""Memory to read into.  Imports next to nothing: the save-helper starts through here."""

import mmap


def buffer(size: int) -> memoryview:
    """Return ``size`` bytes (at least one), of which only what is written to is paid for; a bytearray is at once."""
    return memoryview(mmap.mmap(-1, max(size, 1)))
