"""What a legacy stream is read from and into: its input, and the items that come out.

Spec: README.md of this folder.  Knows exact reads in the writer's word size; does not know what follows what.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pyxl.errors import BadRecord

PAGE = 4096
#: Bytes of one blob that are held: real contexts and device states stay below 2 MiB.
MAX_BLOB = 8 << 20


class Input(Protocol):
    """A stream that is read once, front to back.

    Each but ``rest`` raises TruncatedStream where there are fewer bytes.
    """

    @property
    def offset(self) -> int:
        """Where in the file the next byte stands."""

    def take(self, length: int) -> bytes:
        """Return exactly the next ``length`` bytes."""

    def skip(self, length: int) -> None:
        """Pass over the next ``length`` bytes."""

    def pages(self, length: int) -> memoryview:
        """Return the next ``length`` bytes of page data, good until the next call; nothing where nobody wants them."""

    def rest(self, most: int) -> bytes:
        """Return all that is left, but at most ``most`` bytes."""


class Head(NamedTuple):
    """Who wrote the stream: ``word`` is the bytes of the toolstack's long, 4 or 8; ``pfns`` one more than the last."""

    word: int
    pfns: int
    is_pv: bool


class PvInfo(NamedTuple):
    """The extended info of a PV guest: how long its vcpus' contexts are, in bytes, and so how wide it is itself."""

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
    """What the device model has moved in the guest's memory: its xenstore keys, relative to its directory."""

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
    """Pages that libxc knows by name, and Xen's own HVM context."""

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
    """Reads of numbers from ``input``; ``record`` is what is being read, for whoever has to say where the file ends.

    ``word`` is the bytes of a long, ``start`` where the record begins.
    """

    input: Input
    record: str = "the head"
    word: int = 8
    start: int = 0

    def begin(self, record: str, back: int = 0) -> None:
        """Begin to read ``record``, ``back`` bytes of which were read already."""
        self.record = record
        self.start = self.input.offset - back

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return little-endian numbers, packed, by struct's letters."""
        layout = "<" + layout
        return struct.unpack(layout, self.input.take(struct.calcsize(layout)))

    def number(self, letter: str) -> int:
        return self.numbers(letter)[0]

    def longs(self, count: int) -> tuple[int, ...]:
        return self.numbers(f"{count}{'I' if self.word == 4 else 'Q'}")

    def blob(self, length: int) -> bytes:
        """Return ``length`` bytes that are held.

        :raise BadRecord: no such blob is as long.
        """
        if length > MAX_BLOB:
            raise self.bad(f"claims {length} bytes")
        return self.input.take(length)

    def bad(self, what: str) -> BadRecord:
        """Return the error that ``record`` is."""
        return BadRecord(f"{self.record}: {what}", self.start)
