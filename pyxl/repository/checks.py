"""What is wrong with frames of packs: each is opened once, however many checkpoints have pages in it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pyxl.checkpoint import relay
from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.frame_cache import FrameCache
from pyxl.checkpoint.relay import Relay
from pyxl.errors import BadRecord
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.memory import places
from pyxl.repository.layout import Layout
from pyxl.repository.pack import Pack

#: Stretches of pages that are named; more are only counted.
_NAMED = 8

Key = tuple[int, int]
"""A frame: which of a checkpoint's packs, from 0, and which frame of it."""


class Checks:
    """What was found in packs of a repository, by their names, which no two packs ever have."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, int], BadRecord | None] = {}
        self._hashes: dict[str, bool] = {}

    def damaged(self, packs: Sequence[Pack], wanted: Iterable[Key]) -> dict[Key, BadRecord]:
        """Return those of the wanted frames that are damaged, and how; open all that nobody has wanted before."""
        keys = sorted(wanted)
        fresh = iter([key for key in keys if _name(packs, key) not in self._frames])
        lanes = [_Lane(packs, fresh, self._frames) for _ in range(relay.threads() + 1)]
        all_of_them = Relay(lanes, relay.threads())
        all_of_them.start()
        try:
            all_of_them.wait()
        except BaseException:  # the packs are about to be closed
            all_of_them.stop()
            all_of_them.wait()
            raise
        all_of_them.check()
        return {key: error for key in keys if (error := self._frames[_name(packs, key)])}

    def have_hashes(self, pack: Pack) -> bool:
        """Tell whether the table of a pack's hashes is right."""
        if pack.name not in self._hashes:
            self._hashes[pack.name] = pack.has_hashes()
        return self._hashes[pack.name]


def damage(checks: Checks, layout: Layout, packs: Sequence[Pack]) -> Iterator[BadRecord]:
    """Yield what is wrong with frames that have pages of a checkpoint, and which pages, by the offset of the first."""
    bad = checks.damaged(packs, {_key(place) for _, _, _, place in layout.pages()})
    lost = defaultdict(list)
    for offset, gfn, count, place in layout.pages() if bad else ():
        if (key := _key(place)) in bad:
            lost[key].append((offset, gfn, count))
    for key, runs in sorted(lost.items(), key=lambda item: item[1]):
        yield BadRecord(f"{bad[key].what}; {_which(runs)}", runs[0][0])


def _key(place: int) -> Key:
    return places.pack_of(place) - 1, places.frame_of(place)


def _name(packs: Sequence[Pack], key: Key) -> tuple[str, int]:
    return packs[key[0]].name, key[1]


def _which(runs: list[tuple[int, int, int]]) -> str:
    pages = sum(count for _, _, count in runs)
    named = [f"{gfn:#x}" if count == 1 else f"{gfn:#x} to {gfn + count - 1:#x}" for _, gfn, count in runs[:_NAMED]]
    more = f" and {len(runs) - _NAMED} stretches more" if len(runs) > _NAMED else ""
    return f"{pages} page{'s' * (pages > 1)} of this checkpoint lie{'s' * (pages == 1)} in it: {', '.join(named)}{more}"


class _Lane:
    """A lane that opens frames, and drops what they hold."""

    def __init__(
        self, packs: Sequence[Pack], keys: Iterator[Key], found: "dict[tuple[str, int], BadRecord | None]"
    ) -> None:
        self._packs = packs
        self._keys = keys
        self._found = found
        self._frames = FrameCache(packs, places.SLOTS * PAGE_SIZE)
        self._room = buffer(places.SLOTS * PAGE_SIZE)
        self._error: BadRecord | None = None

    def take(self) -> bool:
        key = next(self._keys, None)
        self._key = key or (0, 0)
        return key is not None

    def work(self) -> None:
        self._error = None
        try:
            self._frames.open(*self._key, self._room)
        except BadRecord as error:
            self._error = error

    def put(self) -> None:
        self._found[_name(self._packs, self._key)] = self._error
