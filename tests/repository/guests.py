"""Checkpoints of fake guests in a repository, made and restored by the engine as the save-helper does it."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pyxl.formats.stream import libxl_v2, trailer, xl_header
from pyxl.memory.packs_in import PacksSource
from pyxl.memory.packs_out import PackSink
from pyxl.memory.restore import Restore, Ring
from pyxl.memory.save import save
from pyxl.model.compression import Compression
from pyxl.model.copied import Copied
from pyxl.repository.new_checkpoint import NewCheckpoint, Slot
from pyxl.repository.repository import Repository
from pyxl.repository.restored import PackedStandIn
from pyxl.repository.view import View
from tests.fakes.guest import PAGE, FakeGuest
from tests.formats.stream import streams
from tests.memory.test_engine import guest

UUID, NAME = "8d5b2a0e-0000-4000-8000-000000000001", "web1"
RINGS = {0x2FFC, 0x2FFF}
__all__ = ["NAME", "PAGE", "UUID", "FakeGuest", "checkpoint", "differing", "guest", "restored"]


def checkpoint(
    repository: Repository, source: Any, *, uuid: str = UUID, name: str = NAME, saved: float = 1.8e9,
    threads: int = 3, is_full: bool = False, stream: Any = None, disks: Sequence[Copied] = (),
) -> int:  # fmt: skip
    """Make a checkpoint of a fake guest, and return its number; ``stream`` writes it to a sink, else ``save`` does."""
    slot = Slot(repository, repository.new_number(), is_full)
    with closing(NewCheckpoint(slot, uuid, Compression(1))) as new:
        new.write(xl_header.encode(streams.CONFIG) + libxl_v2.start())
        fd, table, state = new.fds
        sink = PackSink(fd, table, 1, state)
        if stream:
            stream(sink)
        else:
            save(source, source, sink, (4, 17), threads)
        sink.end()
        new.write(libxl_v2.end())
        new.end(trailer.identity(uuid, name, saved, "host", "4.17.7", "", disks))
        new.took(1.5, 0.2)
        new.sync()
        new.commit()
    return slot.number


def restored(repository: Repository, number: int, threads: int = 3) -> Any:
    """Restore a checkpoint into a fake guest."""
    target: Any = FakeGuest()
    with closing(View(repository, number)) as view:
        header = xl_header.parse(view.take)
        with closing(PackedStandIn(view, header.size)) as stand_in:
            plan, *packs = (os.dup(int(fd)) for fd in Path(stand_in.words.partition("=")[2]).name.split(","))
            os.lseek(stand_in.fd, header.size + len(libxl_v2.start()), os.SEEK_SET)
            source = PacksSource(stand_in.fd, plan, packs)
            Restore(target, target, source, Ring(1, 0), Ring(2, 0), lambda _: 0).run(threads)
            for fd in (plan, *packs):
                os.close(fd)
    assert not target.mapped
    return target


def differing(one: FakeGuest, other: FakeGuest) -> list[int]:
    """Return the gfns of pages that only one has, or that differ; those of rings are cleared by a restore."""
    gfns = (one.pages.keys() | other.pages.keys()) - RINGS
    return sorted(gfn for gfn in gfns if one.pages.get(gfn) != other.pages.get(gfn))
