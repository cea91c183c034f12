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

#: The first release of each series that has a change which went to several series at once; later ones all have it.
Firsts = tuple[Release, ...]

#: From here on xl's monitor of a guest goes on after a suspend; before, it ended there.
XL_MONITOR_STAYS: Series = (4, 20)

#: Entries of the HVM context that have grown, by their type, with the length before in bytes.  A Xen fills up a shorter
#: one with zeros, and refuses a longer one.  LAPIC got the errors that are pending.
GROWN_ENTRIES: dict[int, tuple[int, Firsts]] = {5: (24, ((4, 18, 5), (4, 19, 2), (4, 20, 1)))}

#: Options of xl.cfg, and keys of a device's specification, that came after OLDEST: the first xl that reads them.
OPTIONS_SINCE: dict[str, Series] = {
    "bootloader_restrict": (4, 18), "bootloader_user": (4, 18), "smbios": (4, 18), "sve": (4, 18), "virtio": (4, 18),
    "hvm_pirq": (4, 19), "nr_spis": (4, 19),
    "llc_colors": (4, 20),
    "altp2m_count": (4, 21), "arm_sci": (4, 21), "trap_unmapped_accesses": (4, 21), "xen_platform_pci_bar_uc": (4, 21),
    "xenstore_feature_mask": (4, 21),
    "xenstore_quota": (4, 22),
}  # fmt: skip
KEYS_SINCE: dict[tuple[str, str], Series] = {
    ("vif", "vlan"): (4, 19),
    **{("p9", key): (4, 19) for key in ("type", "max-files", "max-open-files", "max-space", "auto-delete")},
}
#: From here on xl leaves it to libxl to number a `channel`.
UNNUMBERED_CHANNELS: Firsts = ((4, 18, 5), (4, 19, 2), (4, 20, 1))
#: Devices whose words xl splits at their first =, and refuses without a value, from there on; a `p9` then takes nothing
#: from the one before it.
STRICT_PAIRS: dict[str, Series] = {"channel": (4, 18), "p9": (4, 19)}


def parsed(text: str) -> Release:
    """Return a release as numbers: (4, 17, 7) for "4.17.7", (4, 21, 0) for "4.21-unstable"."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def reached(release: Release, firsts: Firsts) -> bool:
    """Return whether a release has the change that came with ``firsts``."""
    return release[:2] > firsts[-1][:2] or any(release[:2] == first[:2] and release >= first for first in firsts)


def entry_limit(typecode: int, longest: int, release: Release) -> int:
    """Return how long an entry of the HVM context may be for a release to load it; ``longest`` is what any takes."""
    if typecode not in GROWN_ENTRIES:
        return longest
    before, firsts = GROWN_ENTRIES[typecode]
    return longest if reached(release, firsts) else before


def may_refuse(release: Release, saver: Series) -> bool:
    """Return whether a release may refuse what some release of the series ``saver`` has saved of an HVM guest."""
    if release[:2] > NEWEST:
        return False
    if saver > NEWEST:
        return True
    last = (*saver, 1 << 16)
    return any(entry_limit(kind, 1 << 16, last) > entry_limit(kind, 1 << 16, release) for kind in GROWN_ENTRIES)
