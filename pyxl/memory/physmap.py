"""The frames of a new domain: which have memory, in the largest pieces that they can be given in.

Imports next to nothing: the save-helper starts through here.
"""

from pyxl.errors import PyxlError
from pyxl.memory.batches import WORD, gfns_from

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from pyxl.xen.hvm import HvmDomain

#: Order and pages of a superpage of 2 MiB.
_ORDER = 9
_PAGES = 1 << _ORDER
_ALL = (1 << _PAGES) - 1


class Physmap:
    """A domain that has no memory yet."""

    def __init__(self, domain: "HvmDomain") -> None:
        self._domain = domain
        # For each superpage a bit for each page that has memory.  Only what Xen gave counts, so a stream cannot make
        # this grow beyond what the domain may have.
        self._present: dict[int, int] = {}

    def is_new(self, gfns: bytes) -> bool:
        """Tell whether none of ``gfns``, 8 bytes each, has memory yet."""
        return not any(wanted & self._present.get(number, 0) for number, wanted in _by_superpage(gfns))

    def populate(self, gfns: bytes) -> None:
        """Give memory to those of ``gfns``, 8 bytes each, that have none yet.

        :raise PyxlError: Xen gives none.
        """
        for number, wanted in _by_superpage(gfns):
            present = self._present.get(number, 0)
            if missing := wanted & ~present:
                self._fill(number, missing)
                self._present[number] = present | missing

    def _fill(self, number: int, missing: int) -> None:
        first = number * _PAGES
        if missing == _ALL and self._domain.populate(first.to_bytes(WORD, "little"), _ORDER):
            return
        wanted = [first + bit for bit in range(_PAGES) if missing >> bit & 1]
        if not self._domain.populate(b"".join(gfn.to_bytes(WORD, "little") for gfn in wanted), 0):
            raise PyxlError(f"Xen has no memory for gfn {wanted[0]:#x} and {len(wanted) - 1} more")


def _by_superpage(gfns: bytes) -> list[tuple[int, int]]:
    """Return (number of a superpage, a bit for each of its pages that is among ``gfns``) in their order."""
    size = _PAGES * WORD
    if not len(gfns) % size:
        firsts = [int.from_bytes(gfns[at : at + WORD], "little") for at in range(0, len(gfns), size)]
        if not any(first % _PAGES for first in firsts):
            whole = b"".join(gfns_from(first)[:size] for first in firsts)
            if whole == gfns:  # nearly always, and without a step for each page
                return [(first // _PAGES, _ALL) for first in firsts]
    found: dict[int, int] = {}
    for gfn in memoryview(gfns).cast("Q"):
        number, bit = divmod(gfn, _PAGES)
        found[number] = found.get(number, 0) | 1 << bit
    return list(found.items())
