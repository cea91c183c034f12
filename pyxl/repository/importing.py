"""A checkpoint that is read becomes one of a repository: its pages go through the engine's sink, in threads.

Does not know whose it is, nor what surrounds its pages.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from pyxl.checkpoint import relay
from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.pages import PageIndex, Run
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.worker import Worker
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.memory import save
from pyxl.memory.batches import WORD, Batch, gfns_from
from pyxl.memory.ordered import in_order
from pyxl.memory.packs_out import PackSink
from pyxl.memory.places import CHUNK
from pyxl.repository.new_checkpoint import NewCheckpoint


class Import:
    """Writes ``parts`` of a checkpoint to a new one, in their order; an index stands for all pages that it has."""

    def __init__(self, new: NewCheckpoint, source: Source, parts: Iterable[bytes | PageIndex]) -> None:
        self._new = new
        self._source = source
        self._parts = parts
        self._stopped = False

    def run(self, tick: Callable[[], None], interval: float | None) -> None:
        """Do it; ``tick`` is called about every ``interval`` seconds meanwhile.

        :raise StreamError: the checkpoint is broken.
        :raise OSError: the disk takes no more.
        """
        worker = Worker(self._write)
        worker.start()
        try:
            worker.result(tick, interval)
        except BaseException:  # its threads write to what is closed next
            self._stopped = True
            worker.wait()
            raise

    def _write(self) -> None:
        fd, table, state = self._new.fds
        sink = PackSink(fd, table, None, state)
        for part in self._parts:
            if isinstance(part, PageIndex):
                in_order(self._batches(part), [save.Worker(None, sink) for _ in range(relay.threads())])
            else:
                sink.write(part)
        sink.end()

    def _batches(self, index: PageIndex) -> Iterator[Batch]:
        """Yield the pages of each chunk of the guest, which the sink compares as one."""
        for _, runs in groupby(_within_chunks(index), lambda run: run.gfn // CHUNK):
            if self._stopped:
                return
            yield self._batch(list(runs))

    def _batch(self, runs: list[Run]) -> Batch:
        gfns = b"".join(gfns_from(run.gfn)[: WORD * run.pages] for run in runs)
        batch = Batch(gfns, gfns)
        room, at = buffer(batch.pages * PAGE_SIZE), 0
        for run in runs:
            end = at + run.pages * PAGE_SIZE
            room[at:end] = self._source.read(run.offset, end - at)
            at = end
        batch.hold(room)
        return batch


def _within_chunks(index: PageIndex) -> Iterator[Run]:
    for gfn, left, offset in index.runs():
        while left:
            count = min(left, CHUNK - gfn % CHUNK)
            yield Run(gfn, count, offset)
            gfn, left, offset = gfn + count, left - count, offset + count * PAGE_SIZE
