"""The input that a legacy stream is read from, and the items that come out.

Spec: README.md of this folder.  Knows exact reads in the writer's word size; does not know the order of items.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pyxl.errors import BadRecord

PAGE = 4096
#: The most bytes of one blob: real contexts and device states stay below 2 MiB.
MAX_BLOB = 8 << 20


class Input(Protocol):
    """A stream that is read once, front to back.

    Each but ``rest`` raises TruncatedStream where there are fewer bytes.
    """

    @property
    def offset(self) -> int:
        """Where in the file the next byte is."""

    def take(self, length: int) -> bytes:
        """Return exactly the next ``length`` bytes."""

    def skip(self, length: int) -> None:
        """Pass over the next ``length`` bytes."""

    def pages(self, length: int) -> memoryview:
        """Return the next ``length`` bytes of page data, valid until the next call; empty where nobody wants them."""

    def rest(self, most: int) -> bytes:
        """Return all that is left, but at most ``most`` bytes."""


class Head(NamedTuple):
    """The stream's head: ``word`` is the size of the toolstack's long, 4 or 8; ``pfns`` is the last pfn plus one."""

    word: int
    pfns: int
    is_pv: bool


class PvInfo(NamedTuple):
    """The extended info of a PV guest: the length of its vcpus' contexts, in bytes, and so the guest's width."""

    context_size: int
    guest_width: int
    levels: int
    has_extended: bool
    xsave_size: int


class P2mFrames(NamedTuple):
    """The frames of a PV guest's p2m, 64 bits each, little-endian; ``last`` is the last page that it maps."""

    last: int
    frames: bytes


class Batch(NamedTuple):
    """Up to 1024 pages: ``pfns`` with their types in bits 28 to 31, ``pages`` of those that have data."""

    offset: int
    pfns: tuple[int, ...]
    pages: memoryview


class TscInfo(NamedTuple):
    mode: int
    nsec: int
    khz: int
    incarnation: int


class HvmParam(NamedTuple):
    """A chunk of one HVM parameter, by its public number."""

    number: int
    value: int


class Physmap(NamedTuple):
    """The memory that the device model has moved, as its xenstore keys relative to its directory."""

    pairs: list[tuple[str, str]]


class Vcpu(NamedTuple):
    """A PV guest's vcpu; ``extended`` and ``xsave`` are empty where the stream has none."""

    number: int
    basic: bytes
    extended: bytes
    xsave: bytes


class SharedInfo(NamedTuple):
    page: bytes


class HvmTail(NamedTuple):
    """The pages that libxc knows by name, and the HVM context."""

    ioreq_pfn: int
    bufioreq_pfn: int
    store_pfn: int
    context: bytes


class DeviceState(NamedTuple):
    """The device model's state, behind one of three signatures."""

    offset: int
    signature: bytes
    state: bytes


Item = (
    Head | PvInfo | P2mFrames | Batch | TscInfo | HvmParam | Physmap | Vcpu | SharedInfo | HvmTail | DeviceState
)  # fmt: skip


@dataclass(slots=True)
class Stream:
    """Reads numbers from ``input``; ``record`` names what is being read, for errors.

    ``word`` is the size of a long in bytes, ``start`` is where the record begins.
    """

    input: Input
    record: str = "the head"
    word: int = 8
    start: int = 0

    def begin(self, record: str, back: int = 0) -> None:
        """Begin to read ``record``, of which ``back`` bytes are already read."""
        self.record = record
        self.start = self.input.offset - back

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return packed little-endian numbers by struct's letters."""
        layout = "<" + layout
        return struct.unpack(layout, self.input.take(struct.calcsize(layout)))

    def number(self, letter: str) -> int:
        return self.numbers(letter)[0]

    def longs(self, count: int) -> tuple[int, ...]:
        return self.numbers(f"{count}{'I' if self.word == 4 else 'Q'}")

    def blob(self, length: int) -> bytes:
        """Return a blob of ``length`` bytes.

        :raise BadRecord: it is longer than any such blob.
        """
        if length > MAX_BLOB:
            raise self.bad(f"claims {length} bytes")
        return self.input.take(length)

    def bad(self, what: str) -> BadRecord:
        """Return the error for ``record``."""
        return BadRecord(f"{self.record}: {what}", self.start)
