"""A checkpoint in the making: its pack is written, synced and named first, then its manifest; until then there is none.

It has the methods that a save wants of a new file (checkpoint/new_file.py) and of its stream (checkpoint/framed.py).
"""

import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.descriptors import write_all
from pyxl.checkpoint.frame_table import ByTable, FrameTable
from pyxl.checkpoint.new_file import NewFile
from pyxl.errors import StreamError
from pyxl.formats.stream import trailer
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.formats.stream.trailer import Identity, Trailer
from pyxl.memory import places
from pyxl.memory.page_hash import PageHash
from pyxl.memory.places import ABSENT, BROKEN, CHUNK, COLUMN, RUN, ZERO
from pyxl.model.compression import Compression
from pyxl.repository import manifest, pack
from pyxl.repository.layout import Layout
from pyxl.repository.manifest import Facts, Manifest, PackRef
from pyxl.repository.repository import Repository
from pyxl.repository.view import View

_ALL_ZERO = struct.pack(f"<{CHUNK}Q", *[ZERO] * CHUNK)


class Slot(NamedTuple):
    """Where a checkpoint is to be; ``is_full`` compares it with none, and so writes every page."""

    repository: Repository
    number: int
    is_full: bool = False

    @property
    def path(self) -> Path:
        """Where its pack is to be."""
        return self.repository.pack_path(self.number)

    def __str__(self) -> str:
        return f"{self.repository.path}@{self.number}"


class NewCheckpoint(ByTable):
    """A checkpoint of guest ``uuid``, compared with its newest one; the repository is in use until ``close``.

    ``fds`` and ``words`` are for the engine: it appends frames to the first, and tells of them in the second; the third
    has what is known of the guest's pages before, and then what is known now.

    :raise PyxlError: the repository cannot be written to.
    """

    def __init__(self, slot: Slot, uuid: str, how: Compression) -> None:
        self._owned = ExitStack()
        self.committed = False
        self._slot = slot
        self._repository = slot.repository
        try:
            self._owned.enter_context(self._repository.locks.writing())
            self._before = None if slot.is_full else self._repository.newest(uuid)
            self._pack = NewFile(slot.path)
            self._owned.callback(self._pack.close)
            self._table = FrameTable()
            self._owned.callback(self._table.close)
            self._state = os.memfd_create("state", os.MFD_CLOEXEC)
            self._owned.callback(os.close, self._state)
            self._packs = self._prepare()
        except BaseException:
            self.close()
            raise
        self.fds = (self._pack.fd, self._table.fd, self._state)
        self.words = how.words
        self._head: list[bytes] = []
        self._tail: list[bytes] = []
        self._seconds, self._freeze = 0.0, 0.0

    def write(self, data: bytes) -> None:
        """Keep what belongs in front of the pages, or, once the engine has come to these, behind them."""
        (self._tail if self.size() else self._head).append(data)

    def end(self, identity: Identity) -> int:
        """Write the pack's index, and make the manifest; return the size of the content.

        :raise OSError: the disk takes no more.
        """
        data = os.pread(self._state, os.fstat(self._state).st_size, 0)
        before, after = places.RESULT.unpack_from(data)
        pages_at = places.RESULT.size + before
        head = b"".join((*self._head, data[places.RESULT.size : pages_at]))
        tail = b"".join((data[pages_at : pages_at + after], *self._tail))
        frames = [(stored, content) for stored, content in self._table.entries() if stored]
        found = _Found(len(self._packs) + 1, frames)
        for number, columns in places.chunks(data, pages_at + after):
            found.add(number * CHUNK, memoryview(columns))
        index = pack.index(frames, found.hashes.tobytes())
        write_all(self._pack.fd, index)
        self._behind = len(index)
        own = PackRef(self._slot.path.name, self.stored())
        packs, runs = _only_used((*self._packs, own), found.runs)
        made = Manifest(self._facts(identity, found, 0), packs, head, tail, runs)
        size = Layout(made).size
        tail += trailer.encode(Trailer(size, (), identity, trailer.NONE))
        made = made._replace(tail=tail)
        size = Layout(made).size
        self._made = made._replace(facts=made.facts._replace(size=size))
        return size

    def took(self, seconds: float, freeze: float) -> None:
        """Note how long it took, and for how long the guest was away, 0 where that is not known."""
        self._seconds, self._freeze = round(seconds, 3), round(freeze, 3)

    def sync(self) -> None:
        """Wait until pack and manifest are on the disk."""
        self._pack.sync()
        facts = self._made.facts._replace(seconds=self._seconds, freeze=self._freeze or None)
        data = manifest.encode(self._made._replace(facts=facts))
        self._manifest = NewFile(self._repository.manifest_path(self._slot.number))
        self._owned.callback(self._manifest.close)
        self._manifest.write(data)
        self._manifest.sync()

    def commit(self) -> None:
        """Give both their names, the manifest last.

        :raise NameNotDurable: it has its name, but may lose it again.
        :raise OSError: there is no checkpoint.
        """
        self._owned.callback(self._remove_unneeded)
        self._pack.commit()
        try:
            self._manifest.commit()
        finally:
            self.committed = self._manifest.committed

    def close(self) -> None:
        """Close all, and remove what did not become a checkpoint; harmless when done twice."""
        self._owned.close()

    def _remove_unneeded(self) -> None:
        """Remove a pack that has its name, where the manifest got none."""
        if self._pack.committed and not self.committed:
            self._slot.path.unlink(missing_ok=True)

    def _prepare(self) -> tuple[PackRef, ...]:
        """Write down what is known of the guest's pages, and return the packs where they lie."""
        chunks: dict[int, bytearray] = {}
        packs: tuple[PackRef, ...] = ()
        if self._before is not None:
            # One that is damaged is no reason for having no other: then all pages are written.
            with suppress(StreamError), closing(View(self._repository, self._before)) as view:
                chunks = _known(view, PageHash(self._repository.secret).zero)
                packs = view.manifest.packs
        write_all(self._state, places.STATE.pack(len(packs) + 1, self._repository.secret))
        for number, columns in chunks.items():
            write_all(self._state, places.NUMBER.pack(number) + columns)
        return packs

    def _facts(self, identity: Identity, found: "_Found", size: int) -> Facts:
        return Facts(
            self._slot.number, identity.uuid, identity.name, identity.saved, identity.host, identity.xen, identity.pyxl,
            size, found.pages, found.zero, found.new, self._slot.path.name, 0.0,
        )  # fmt: skip


def _known(view: View, zero: int) -> dict[int, bytearray]:
    """Return hashes and places of each chunk of a guest, as its checkpoint has them; ``zero`` is a zero page's hash."""
    hashes = [each.hashes() for each in view.packs]
    chunks: dict[int, bytearray] = {}
    for gfn, count, place in RUN.iter_unpack(view.manifest.runs):
        number, first = divmod(gfn, CHUNK)
        columns = chunks.setdefault(number, bytearray(2 * COLUMN))
        both = memoryview(columns).cast("Q")
        if place in (ZERO, BROKEN):
            both[CHUNK + first : CHUNK + first + count] = array("Q", [place]) * count
            both[first : first + count] = array("Q", [zero if place == ZERO else 0]) * count
            continue
        both[CHUNK + first : CHUNK + first + count] = array("Q", range(place, place + count))
        of_pack = hashes[places.pack_of(place) - 1]
        both[first : first + count] = of_pack.of(places.frame_of(place), places.slot_of(place), count)
    return chunks


class _Found:
    """What the engine has found: runs, the hash of each page of the new pack, and counts of pages."""

    def __init__(self, own: int, frames: Sequence[tuple[int, int]]) -> None:
        self._own = own
        counts = [content // PAGE_SIZE for _, content in frames]
        self._firsts = array("Q", accumulate(counts, initial=0))
        self.hashes = array("Q", bytes(8 * self._firsts[-1]))
        self.runs: list[tuple[int, int, int]] = []
        self.pages = self.zero = self.new = 0

    def add(self, gfn: int, columns: memoryview) -> None:
        """Take hashes and places of a chunk that begins at ``gfn``."""
        both = columns.cast("Q")
        for first, count, place in _runs_of(both[CHUNK:]):
            self.runs.append((gfn + first, count, place))
            self.pages += count
            if place == ZERO:
                self.zero += count
            elif places.pack_of(place) == self._own:
                self.new += count
                at = self._firsts[places.frame_of(place)] + places.slot_of(place)
                self.hashes[at : at + count] = array("Q", both[first : first + count])


def _runs_of(column: "memoryview[int]") -> Iterator[tuple[int, int, int]]:
    """Yield (first, pages, place) for pages that lie together, in one frame."""
    if column.tobytes() == _ALL_ZERO:
        yield 0, CHUNK, ZERO
        return
    first, start, step = 0, ABSENT, 0
    for at, place in enumerate(column):
        expected = start + step * (at - first)
        if place == expected:
            continue
        if start != ABSENT:
            yield first, at - first, start
        first, start, step = at, place, int(place > BROKEN)
    if start != ABSENT:
        yield first, CHUNK - first, start


def _only_used(packs: Sequence[PackRef], runs: list[tuple[int, int, int]]) -> tuple[tuple[PackRef, ...], bytes]:
    """Return the packs that runs need, and the runs with their new numbers; the own pack, the last one, stays."""
    used = sorted({places.pack_of(place) for _, _, place in runs} - {0} | {len(packs)})
    shifted = {number: places.place(at + 1 - number, 0) for at, number in enumerate(used)}
    shifted[0] = 0
    rows = (RUN.pack(gfn, count, place + shifted[places.pack_of(place)]) for gfn, count, place in runs)
    return tuple(packs[number - 1] for number in used), b"".join(rows)
