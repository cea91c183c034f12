"""Which pages of which packs the checkpoints of a repository need."""

from array import array
from collections.abc import Iterable
from itertools import accumulate

from pyxl.errors import BadRecord, StreamError
from pyxl.memory import places
from pyxl.memory.places import BROKEN, RUN
from pyxl.repository.manifest import Manifest
from pyxl.repository.pack import Pack
from pyxl.repository.repository import Repository
from pyxl.repository.victims import Use

#: From the place of one frame to that of the next.
_FRAME = places.place(0, 1)
_NEEDED = [b"\1" * count for count in range(places.SLOTS + 1)]


class Needed:
    """Which pages of a pack of ``size`` bytes are needed: ``flags`` has a byte for each, 1 if it is.

    ``firsts`` has the number of each frame's first page, and how many pages there are.
    """

    def __init__(self, pack: Pack) -> None:
        self.size = pack.size
        self.firsts = array("Q", accumulate((pack.pages(frame) for frame in range(len(pack))), initial=0))
        self.flags = bytearray(self.firsts[-1])

    def use(self) -> Use:
        return Use(self.size, len(self.flags), self.flags.count(1))


class Survey:
    """What the checkpoints of a repository need, one manifest in memory at a time.

    ``packs`` are those that are needed and can be read, ``named`` has the names of those that each checkpoint needs,
    and ``problems`` what is wrong.  With ``is_complete`` every manifest was understood; else any pack may be needed.

    :raise OSError: something cannot be read.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._there = set(repository.pack_names())
        self._unfit: set[str] = set()
        self.packs: dict[str, Needed] = {}
        self.named: dict[int, set[str]] = {}
        self.problems: list[str] = []
        self.is_complete = True
        for number in repository.numbers():
            try:
                manifest = repository.parsed(number, repository.read_manifest(number))
                self._open(number, manifest)
                self._mark(number, manifest)
            except StreamError as error:
                self.problems.append(error.what)
                self.is_complete = False

    def unneeded(self) -> list[str]:
        """Return the names of packs that no checkpoint names."""
        return sorted(self._there.difference(*self.named.values())) if self.is_complete else []

    def uses(self) -> dict[str, Use]:
        """Return what is needed of each pack that can be read."""
        return {name: each.use() for name, each in self.packs.items()}

    def naming(self, packs: Iterable[str]) -> list[int]:
        """Return the checkpoints that name one of these packs."""
        return [number for number, names in self.named.items() if not names.isdisjoint(packs)]

    def _open(self, number: int, manifest: Manifest) -> None:
        self.named[number] = {name for name, _ in manifest.packs}
        for name, size in manifest.packs:
            if name in self.packs or name in self._unfit:
                continue
            try:
                if name not in self._there:
                    raise BadRecord(f"pack {name} is missing", 0)
                pack = self._repository.open_pack(name, size)
            except StreamError as error:
                self._unfit.add(name)
                self.problems.append(f"checkpoint {number}: {error.what}")
            else:
                self.packs[name] = Needed(pack)
                pack.close()

    def _mark(self, number: int, manifest: Manifest) -> None:
        frames = _Frames([None, *(self.packs.get(name) for name, _ in manifest.packs)])
        try:
            for _, count, place in RUN.iter_unpack(manifest.runs):
                if place > BROKEN:
                    flags, first, end = frames[place // _FRAME]
                    first += place % _FRAME
                    if first + count > end:
                        raise IndexError
                    flags[first : first + count] = _NEEDED[count]
        except IndexError:
            raise BadRecord(f"checkpoint {number}: it has pages in slots that are not there", 0) from None


class _Frames(dict[int, tuple[bytearray, int, int]]):
    """The flags of a frame's pack, and where in them those of the frame begin and end; of frames that were asked for.

    What is marked in a pack that cannot be read goes nowhere.

    :raise IndexError: there is no such frame.
    """

    def __init__(self, packs: list[Needed | None]) -> None:
        self._packs = packs

    def __missing__(self, number: int) -> tuple[bytearray, int, int]:
        place = number * _FRAME
        frame, pack = places.frame_of(place), self._packs[places.pack_of(place)]
        found = (pack.flags, pack.firsts[frame], pack.firsts[frame + 1]) if pack else (bytearray(_FRAME), 0, _FRAME)
        self[number] = found
        return found
