"""The frames of a domain that exist, a batch at a time, with the words that a PAGE_DATA record has for them.

Spec: xen-spec.md 3.3.  Imports next to nothing: the save-helper starts through here.
"""

import ctypes

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyxl.xen.hvm import HvmDomain

#: Frames of a batch: 4 MiB, two superpages; Xen answers for no more at once.
FRAMES = 1024
WORD = 8
#: A page's type in a word, and what of it has no page in the stream.
TYPE_SHIFT, _TYPE_MASK = 60, 0xF
BROKEN, _ABSENT = 0xD, 0xF
#: Where Xen's answer has the type.
_ANSWER_SHIFT = 28

#: Of a bitmap, as many bytes as a batch has frames.
_BYTES = FRAMES // 8
_ALL_SET, _NONE_SET = b"\xff" * _BYTES, bytes(_BYTES)
_NUMBERS = int.from_bytes(b"".join(gfn.to_bytes(WORD, "little") for gfn in range(FRAMES)), "little")
_ONES = int.from_bytes((1).to_bytes(WORD, "little") * FRAMES, "little")
_ALL_RAM = bytes(WORD * FRAMES)
_ALL_ABSENT = (_ABSENT << _ANSWER_SHIFT).to_bytes(WORD, "little") * FRAMES


class Batch:
    """Up to 1024 frames: a word for each, and the gfns of those that have a page, 8 bytes each.

    ``copy`` is where copies of the pages are, 0 where they are in the guest alone.
    """

    def __init__(self, words: bytes, gfns: bytes) -> None:
        self.words = words
        self.gfns = gfns
        self.pages = len(gfns) // WORD
        self.copy = 0
        self._room: memoryview | None = None

    def hold(self, room: memoryview) -> None:
        """Keep ``room`` for copies of the pages."""
        self._room = room
        self.copy = ctypes.addressof(ctypes.c_char.from_buffer(room))


def numbers(gfns: bytes) -> "memoryview[int]":
    """Return gfns of 8 bytes each as numbers."""
    return memoryview(gfns).cast("Q")


def gfns_from(first: int) -> bytes:
    """Return 1024 gfns from ``first`` on, 8 bytes each."""
    # One step of Python's for all of them: a number of 8 KiB.
    return (first * _ONES + _NUMBERS).to_bytes(WORD * FRAMES, "little")


def batches(domain: "HvmDomain") -> "Iterator[Batch]":
    """Yield all frames that exist, in the order of the guest."""
    answer = ctypes.create_string_buffer(WORD * FRAMES)
    for first in range(0, domain.last_gfn() + 1, FRAMES):
        gfns = gfns_from(first)
        answer.raw = gfns
        domain.page_types(answer, FRAMES)
        types = answer.raw
        if types == _ALL_RAM:
            yield Batch(gfns, gfns)
        elif types != _ALL_ABSENT:
            batch = _mixed(range(first, first + FRAMES), memoryview(types).cast("Q"))
            if batch.words:
                yield batch


def batches_of(domain: "HvmDomain", bits: int) -> "Iterator[Batch]":
    """Yield those of the frames whose bit is set that exist, in the order of the guest."""
    bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    found: list[int] = []
    for at in range(0, len(bitmap), _BYTES):
        chunk = bitmap[at : at + _BYTES]
        if chunk == _ALL_SET:
            found += range(8 * at, 8 * at + FRAMES)
        elif chunk != _NONE_SET:
            found += _set_bits(int.from_bytes(chunk, "little"), 8 * at)
        if len(found) >= FRAMES:
            yield from _existing(domain, found[:FRAMES])
            del found[:FRAMES]
    if found:
        yield from _existing(domain, found)


def _set_bits(chunk: int, first: int) -> "Iterator[int]":
    while chunk:
        lowest = chunk & -chunk
        yield first + lowest.bit_length() - 1
        chunk ^= lowest


def _existing(domain: "HvmDomain", gfns: list[int]) -> "Iterator[Batch]":
    answer = ctypes.create_string_buffer(WORD * len(gfns))
    answer.raw = b"".join(gfn.to_bytes(WORD, "little") for gfn in gfns)
    domain.page_types(answer, len(gfns))
    batch = _mixed(gfns, memoryview(answer.raw).cast("Q"))
    if batch.words:
        yield batch


def _mixed(frames: "Sequence[int]", types: "memoryview[int]") -> Batch:
    words, gfns = [], []
    for gfn, answer in zip(frames, types, strict=True):
        kind = answer >> _ANSWER_SHIFT & _TYPE_MASK
        if kind == _ABSENT:
            continue
        words.append((kind << TYPE_SHIFT | gfn).to_bytes(WORD, "little"))
        if kind != BROKEN:
            gfns.append(gfn.to_bytes(WORD, "little"))
    return Batch(b"".join(words), b"".join(gfns))
