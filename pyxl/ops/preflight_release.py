"""Whether the running Xen loads what another release has saved."""

from typing import TYPE_CHECKING

from pyxl.errors import BadRecord, PyxlError
from pyxl.formats.stream import libxc_v2, walk
from pyxl.model import releases

if TYPE_CHECKING:
    from pyxl.checkpoint.source import Source
    from pyxl.repository.view import View

#: No context is longer.
_MOST = 4 << 20


def loads_here(release: str, source: "Source | View | None") -> None:
    """Refuse a checkpoint with state of an HVM guest that this host's Xen, ``release``, does not load.

    Xen itself refuses it when the guest's memory is there.  The state is behind the memory: it is looked for only where
    the saving Xen is of a series that may have saved more, and never on a pipe, where ``source`` is None.

    :raise PyxlError: the entries that it does not load.
    :raise StreamError: the checkpoint is broken.
    """
    if source is None:
        return
    here, saver = releases.parsed(release), ""
    source.offset = 0
    for element in walk.elements(source.take, source.skip):
        if element.name == "DOMAIN_HEADER":
            *_, major, minor = libxc_v2.DOMAIN.unpack(source.read(element.body, element.length))
            saver = f"{major}.{minor}"
            if not releases.may_refuse(here, (major, minor)):
                return
        elif element.title == "libxc HVM_CONTEXT":
            from pyxl.formats.hvm.loadable import refused  # what other releases have saved is rare

            if element.length > _MOST:
                raise BadRecord(f"an HVM context of {element.length} bytes", element.offset)
            if entries := refused(source.read(element.body, element.length), element.body, here):
                what = ", ".join(entries)
                raise PyxlError(
                    f"this host's Xen {release} does not load what Xen {saver} has saved of the guest: {what}",
                    "Restore it on a host with the release of Xen that has saved it, or a later one.",
                )
            return
