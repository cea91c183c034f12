"""What differs between releases of Xen, from 4.17 to 4.22: the one place that tells them apart.

Whatever is not here is the same in all of them, or asked of the running Xen.  Knows facts, and acts on none.
"""

import re

#: Major and minor number of a release, as every stream has them, and with the number of the release in its series.
Series = tuple[int, int]
Release = tuple[int, int, int]

#: The series that this file knows, from the oldest that pyxl runs on.
OLDEST: Series = (4, 17)
NEWEST: Series = (4, 22)

#: Series on which pyxl's own memory engine stands in for libxc's: its streams were compared with libxc's there.
ENGINE_PROVEN: tuple[Series, ...] = ((4, 17), (4, 20))

#: Entries of the HVM context that have grown, by their type: the length before, in bytes, and the first release of each
#: series that has the longer one; later series have it from their first release on.  A Xen fills up a shorter entry of
#: these with zeros, and refuses a longer one.  LAPIC got the errors that are pending.
GROWN_ENTRIES: dict[int, tuple[int, tuple[Release, ...]]] = {
    5: (24, ((4, 18, 5), (4, 19, 2), (4, 20, 1))),
}


def parsed(text: str) -> Release:
    """Return a release as numbers: (4, 17, 7) for "4.17.7", (4, 21, 0) for "4.21-unstable"."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def entry_limit(typecode: int, longest: int, release: Release) -> int:
    """Return how long an entry of the HVM context may be for a release to load it; ``longest`` is what any takes."""
    if typecode not in GROWN_ENTRIES:
        return longest
    before, grown = GROWN_ENTRIES[typecode]
    has_grown = release[:2] > grown[-1][:2] or any(release[:2] == first[:2] and release >= first for first in grown)
    return longest if has_grown else before


def may_refuse(release: Release, saver: Series) -> bool:
    """Return whether a release may refuse what some release of the series ``saver`` has saved of an HVM guest."""
    if release[:2] > NEWEST:
        return False
    if saver > NEWEST:
        return True
    last = (*saver, 1 << 16)
    return any(entry_limit(kind, 1 << 16, last) > entry_limit(kind, 1 << 16, release) for kind in GROWN_ENTRIES)
