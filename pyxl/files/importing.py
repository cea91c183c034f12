"""The import journey, in the order that it happens: a checkpoint becomes one of a repository.  Needs no Xen."""

import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.legacy import admit
from pyxl.checkpoint.source import Source
from pyxl.checkpoint.undo import Undo
from pyxl.files.in_order import parts
from pyxl.files.opened import LegacyView, opened
from pyxl.files.output import commit, discard
from pyxl.files.whole import identity_of, whole
from pyxl.formats.legacy.old_config import OldConfig
from pyxl.formats.stream import xl_header
from pyxl.formats.stream.trailer import Identity
from pyxl.interrupt import held
from pyxl.model.compression import Compression
from pyxl.model.phases import Owed, Phase
from pyxl.model.report import Report
from pyxl.repository.importing import Import
from pyxl.repository.new_checkpoint import NewCheckpoint, Slot
from pyxl.repository.repository import Repository
from pyxl.repository.shares import Share, shares


class Imported(NamedTuple):
    """A checkpoint of a repository that is whole and durable, as REPO@N; ``seconds`` that it took."""

    path: Path
    share: Share
    seconds: float


def import_file(
    file: Path, repository: Path, report: Report, *, is_full: bool = False, with_disks: bool = False
) -> Imported:
    """Add a checkpoint to a repository, which is made on first use; only pages that have changed are written.

    They are compared with the guest's newest checkpoint there; with ``is_full`` with none.  Copies of disks stay the
    file's, unless it goes away (``with_disks``): two checkpoints would remove them.

    :raise OperationError: it failed, and the repository has what it had.
    """
    started = time.monotonic()
    with ExitStack() as owned, Undo(f"import {file}") as undo:
        undo.enter(Phase.OPEN)
        source = owned.enter_context(opened(file, as_it_is=True))
        undo.enter(Phase.CHECK_FILE)
        header = xl_header.parse(source.take)
        identity = _identity(source, header, file)
        if not with_disks:
            identity = identity._replace(disks=())

        undo.enter(Phase.OPEN_FILE)
        made = Repository.made(repository)
        slot = Slot(made, made.new_number(), is_full)
        with held():
            new = NewCheckpoint(slot, identity.uuid, Compression())
            undo.by(Owed.FILE, lambda: discard(new))

        undo.enter(Phase.CONVERT)
        report.step("importing")
        new.write(xl_header.encode(header.config, header.is_json))

        def tick() -> None:
            done = new.size()
            report.stored(new.stored())
            report.progress(done, max(source.size, done))

        Import(new, source, parts(source)).run(tick, report.interval)
        new.end(identity)
        new.took(time.monotonic() - started, 0)

        undo.enter(Phase.COMMIT)
        commit(new, report, source.size)
        share = next(each for each in shares(made.all()) if each.facts.number == slot.number)
        new.close()
    return Imported(Path(str(slot)), share, time.monotonic() - started)


def _identity(source: Source, header: xl_header.XlHeader, file: Path) -> Identity:
    """Check a checkpoint to its end, and return whose it is; a guest without a uuid gets one that is made of its name.

    What xl or an old Xen wrote says no time: the file's own is the nearest.
    """
    if isinstance(source, LegacyView):
        admit(source, header, skip_device_state=False)
    source.offset = header.size
    found = identity_of(whole(source, header), header, file.stat().st_mtime if file.exists() else time.time())
    known = found.uuid or OldConfig(header).uuid or str(uuid.uuid5(uuid.NAMESPACE_DNS, found.name))
    return found._replace(uuid=known)
