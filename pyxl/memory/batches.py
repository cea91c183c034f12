"""The frames of a domain that exist, a batch at a time, with the words that a PAGE_DATA record has for them.

Spec: xen-spec.md 3.3.  Imports next to nothing: the save-helper starts through here.
"""

import ctypes

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxl.xen.hvm import HvmDomain

#: Frames of a batch: 4 MiB, two superpages; Xen answers for no more at once.
FRAMES = 1024
WORD = 8
#: A page's type in a word, and what of it has no page in the stream.
_TYPE_SHIFT, _TYPE_MASK = 60, 0xF
_BROKEN, _ABSENT = 0xD, 0xF
#: Where Xen's answer has the type.
_ANSWER_SHIFT = 28

_NUMBERS = int.from_bytes(b"".join(gfn.to_bytes(WORD, "little") for gfn in range(FRAMES)), "little")
_ONES = int.from_bytes((1).to_bytes(WORD, "little") * FRAMES, "little")
_ALL_RAM = bytes(WORD * FRAMES)
_ALL_ABSENT = (_ABSENT << _ANSWER_SHIFT).to_bytes(WORD, "little") * FRAMES


class Batch:
    """Up to 1024 frames: a word for each, and the gfns of those that have a page, 8 bytes each."""

    def __init__(self, words: bytes, gfns: bytes) -> None:
        self.words = words
        self.gfns = gfns
        self.pages = len(gfns) // WORD


def gfns_from(first: int) -> bytes:
    """Return 1024 gfns from ``first`` on, 8 bytes each."""
    # One step of Python's for all of them: a number of 8 KiB.
    return (first * _ONES + _NUMBERS).to_bytes(WORD * FRAMES, "little")


def batches(domain: "HvmDomain") -> "Iterator[Batch]":
    """Yield all frames that exist in the order of the guest; it must not run."""
    answer = ctypes.create_string_buffer(WORD * FRAMES)
    for first in range(0, domain.last_gfn() + 1, FRAMES):
        gfns = gfns_from(first)
        answer.raw = gfns
        domain.page_types(answer, FRAMES)
        types = answer.raw
        if types == _ALL_RAM:
            yield Batch(gfns, gfns)
        elif types != _ALL_ABSENT:
            batch = _mixed(first, memoryview(types).cast("Q"))
            if batch.words:
                yield batch


def _mixed(first: int, types: "memoryview[int]") -> Batch:
    words, gfns = [], []
    for gfn, answer in enumerate(types, first):
        kind = answer >> _ANSWER_SHIFT & _TYPE_MASK
        if kind == _ABSENT:
            continue
        words.append((kind << _TYPE_SHIFT | gfn).to_bytes(WORD, "little"))
        if kind != _BROKEN:
            gfns.append(gfn.to_bytes(WORD, "little"))
    return Batch(b"".join(words), b"".join(gfns))
