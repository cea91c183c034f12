"""Where a page of a guest lies: nowhere, or in a slot of a frame of a pack; as a number of 8 bytes.

Packs are counted from 1, frames and slots from 0.  Imports next to nothing: the save-helper starts through here.
"""

import struct

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Iterator

#: The guest has no such page; it is zero; it is broken, and has no content.
ABSENT, ZERO, BROKEN = 0, 1, 2
_PACK_SHIFT, _FRAME_SHIFT = 40, 12
#: Pages of a frame, at most.
SLOTS = 256
#: Frames of the guest that are looked at together: a batch of the engine's.
CHUNK = 1024
#: gfn, pages, place: the pages from gfn on, which lie in as many slots from place on.
RUN = struct.Struct("<QQQ")
#: Of the state that a sink of packs begins with, in front of the chunks: its pack's number, secret.
SECRET_BYTES = 192
STATE = struct.Struct(f"<Q{SECRET_BYTES}s")
#: Of the state that it ends with: how many bytes the stream has before the pages, and behind them; these and chunks
#: follow.
RESULT = struct.Struct("<QQ")
#: Of a chunk, in front of its hashes and its places: its first gfn, in chunks.
NUMBER = struct.Struct("<Q")
#: Bytes of the hashes of a chunk, or of its places.
COLUMN = 8 * CHUNK
#: Of a plan: how many records there are; for each, where in the stream its pages begin, and how many runs they are.
RECORDS = struct.Struct("<Q")
RECORD = struct.Struct("<QQ")


def place(pack: int, frame: int, slot: int = 0) -> int:
    """Return the place of a page."""
    return pack << _PACK_SHIFT | frame << _FRAME_SHIFT | slot


def pack_of(number: int) -> int:
    """Return the pack of a place, 0 where it is in none."""
    return number >> _PACK_SHIFT


def frame_of(number: int) -> int:
    """Return the frame of a place in its pack."""
    return (number >> _FRAME_SHIFT) & ((1 << (_PACK_SHIFT - _FRAME_SHIFT)) - 1)


def slot_of(number: int) -> int:
    """Return the slot of a place in its frame."""
    return number & ((1 << _FRAME_SHIFT) - 1)


def chunks(state: bytes, at: int) -> "Iterator[tuple[int, bytes]]":
    """Yield number, and hashes and places, of each chunk of a state, of which the first one is at byte ``at``."""
    size = NUMBER.size + 2 * COLUMN
    for start in range(at, len(state), size):
        (number,) = NUMBER.unpack_from(state, start)
        yield number, state[start + NUMBER.size : start + size]
