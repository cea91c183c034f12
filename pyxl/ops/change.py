"""A change to a running guest (a device, its memory, its next config): not in the middle of another operation on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyxl.errors import OperationError, PyxlError
from pyxl.interrupt import last_chance
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.lookup import name_of
from pyxl.ops.settle import hold
from pyxl.xen import toolstacks


@contextmanager
def changing(
    xen: Hypervisor, store: Store, open_dm: OpenDm, operation: str, domain: DomainInfo, say: Callable[[str], None]
) -> Iterator[None]:
    """Hold a guest for the block, which checks, calls ``point_of_no_return``, and changes it.

    A save writes the guest's config once, and its memory as it is: what changes meanwhile would be in the one and not
    in the other.

    :raise Busy: another operation on the guest is in progress.
    :raise OperationError: the block failed; the message names operation and domain.
    """
    domid, name = domain.domid, name_of(store, domain.domid)
    with hold(xen, store, open_dm, operation, domain.uuid, name, say):
        try:
            _check_running(xen, domain)
            yield
        except PyxlError as error:
            raise OperationError(f'{operation} {domid} "{name}": {error}', error.hint) from error


def point_of_no_return() -> None:
    """Raise an interrupt that has come; one that comes later does nothing: libxl does not stop half-way."""
    last_chance()


def _check_running(xen: Hypervisor, known: DomainInfo) -> None:
    """Refuse a domain that has gone or shut down, or that a save-helper of another toolstack streams."""
    domain = xen.domain(known.domid)
    if domain is None or domain.dying or domain.uuid != known.uuid:
        raise PyxlError("the domain is gone")
    if domain.shutdown_reason is not None:
        said = "is suspended: somebody saves it" if domain.suspended else "has shut down"
        raise PyxlError(f"the guest {said}", "`pyxl recover` puts right what a save that died has left.")
    helper = next((helper for helper in toolstacks.look().helpers if helper.domid == known.domid), None)
    if helper is not None:
        raise PyxlError(
            f"another toolstack saves or restores the guest (its save-helper is {helper.pid})", "Wait until it is done."
        )
