"""A checkpoint in a repository, seen as the file that xl would have: for all that reads checkpoints."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate

from pyxl.checkpoint.frame_cache import FrameCache
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.sums import RunningSums
from pyxl.errors import BadRecord, StreamError
from pyxl.formats.stream import trailer
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.memory import places
from pyxl.memory.places import BROKEN, ZERO
from pyxl.repository.checks import Checks, damage
from pyxl.repository.layout import Layout, check
from pyxl.repository.manifest import Manifest
from pyxl.repository.pack import Pack
from pyxl.repository.reference import Reference
from pyxl.repository.repository import Repository


class View(Source):
    """Checkpoint ``number`` of a repository; ``checks`` has what is known of its packs from views before.

    Its packs stay open until ``close``: what they hold stays readable, whoever removes them.

    :raise StreamError: it is not whole, as far as that is known without reading its pages.
    :raise OSError: it cannot be read.
    """

    is_summed = True

    def __init__(self, repository: Repository, number: int, checks: Checks | None = None) -> None:
        # Not Source's own: there is no file that has it all.
        self.fd = -1
        self.sums = RunningSums(*trailer.HASHES)
        self.is_device, self.seekable = False, True
        self.compressed = None
        self.offset = 0
        self._pread = self._virtual
        self._owned = ExitStack()
        self.repository = repository
        self.number = number
        data = repository.read_manifest(number)
        self.manifest: Manifest = repository.parsed(number, data)
        self.packs: list[Pack] = []
        try:
            for name, size in self.manifest.packs:
                self.packs.append(repository.open_pack(name, size))
                self._owned.callback(self.packs[-1].close)
            pages = [[pack.pages(frame) for frame in range(len(pack))] for pack in self.packs]
            if what := check(self.manifest.runs, pages):
                raise BadRecord(f"the manifest has {what}", 0)
        except BaseException:
            self.close()
            raise
        self.layout = Layout(self.manifest)
        self.size = self.layout.size
        self.checks = checks or Checks()
        self._manifest_size = len(data)
        self._cache = FrameCache(self.packs, places.SLOTS * PAGE_SIZE)
        self._part = _Part(self.layout, 0)

    @property
    def stored(self) -> int:
        """What its packs and its manifest take, in bytes; others may need the same packs."""
        return self._manifest_size + sum(pack.size for pack in self.packs)

    def damaged(self) -> Iterator[StreamError]:
        """Yield what is wrong with frames that have pages of this checkpoint."""
        return damage(self.checks, self.layout, self.packs)

    def without_hashes(self) -> Iterator[str]:
        """Yield the names of packs with which no other checkpoint can be compared."""
        return (pack.name for pack in self.packs if not self.checks.have_hashes(pack))

    def keep_open(self) -> None:
        """Do nothing: the packs are its own."""

    def close(self) -> None:
        """Close the packs; harmless when done twice."""
        self._owned.close()

    def _virtual(self, length: int, offset: int) -> bytes:
        """Return ``length`` bytes of the content, fewer only at its end."""
        parts = []
        end = min(offset + length, self.size)
        while offset < end:
            part = self._some(offset, end - offset)
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, offset: int, length: int) -> bytes:
        """Return at least one byte at an offset within the content."""
        number = self.layout.part_at(offset)
        if number != self._part.number:
            self._part = _Part(self.layout, number)
        part = self._part
        offset -= self.layout.starts[number]
        if offset < len(part.inline):
            return part.inline[offset : offset + length]
        offset -= len(part.inline)
        start, count, place = part.run_at(offset // PAGE_SIZE)
        offset -= start * PAGE_SIZE
        return self._pages(place, offset, min(length, count * PAGE_SIZE - offset))

    def _pages(self, place: int, offset: int, length: int) -> bytes:
        if place == ZERO:
            return bytes(length)
        content = self._cache.content(places.pack_of(place) - 1, places.frame_of(place))
        start = places.slot_of(place) * PAGE_SIZE + offset
        return bytes(content[start : start + length])


class _Part:
    """A part of the layout that is read: what of it is no pages, and where its pages lie."""

    def __init__(self, layout: Layout, number: int) -> None:
        self.number = number
        self.inline = layout.inline(number)
        has_pages = 0 < number <= layout.records
        runs = [(count, place) for _, count, place in layout.runs(number) if place != BROKEN] if has_pages else []
        self._firsts = list(accumulate((count for count, _ in runs), initial=0))
        self._runs = runs

    def run_at(self, page: int) -> tuple[int, int, int]:
        """Return the run that has a page, counted from 0: its first page, how many it has, and its place."""
        at = bisect_right(self._firsts, page) - 1
        return self._firsts[at], *self._runs[at]


def viewed(named: Reference, checks: Checks | None = None) -> View:
    """Open the checkpoint that a reference means; until its packs are open, nothing is removed.

    :raise PyxlError: there is none, or it is not whole.
    """
    repository = Repository(named.path)
    with repository.locks.shared():
        return View(repository, repository.resolve(named.which), checks)
