"""Which entries of an HVM context a release of Xen refuses to load.

Spec: README.md of this folder; model/releases.py knows what differs between releases.
"""

from pyxl.formats.hvm import context
from pyxl.model import releases
from pyxl.model.releases import Release

#: Entries that are longer on processors with more state.
OPEN_ENDED = (context.XSAVE, context.MSR)


def refused(body: bytes, offset: int, release: Release) -> list[str]:
    """Return the kinds of entries that are unknown to a release, or longer than it takes, each in words.

    ``offset`` is where the context starts in the file, for the error.

    :raise BadRecord: the context is malformed.
    """
    found = {}
    for entry in context.decode(body, offset):
        if entry.typecode not in context.LAYOUTS:
            found[entry.typecode] = f"an entry of type {entry.typecode}, which it does not know"
        elif entry.typecode not in OPEN_ENDED:
            limit = releases.entry_limit(entry.typecode, context.LAYOUTS[entry.typecode].size, release)
            if len(entry.body) > limit:
                found[entry.typecode] = f"{entry.name} of {len(entry.body)} bytes, where it takes {limit}"
    return list(found.values())
