"""The restore journey, in the order that it happens (architecture: 6, "restore").

Everything that can be checked before a domain is built is checked then.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyxl.checkpoint.source import Source
from pyxl.checkpoint.undo import Undo
from pyxl.errors import PyxlError, XenError
from pyxl.formats.guest_config import MAXMEM_SLACK_KB, GuestConfig
from pyxl.model.engine import DIRECT, LIBXC, proven
from pyxl.model.phases import After, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.model.report import Report
from pyxl.ops import guest_clock, programs
from pyxl.ops.checkpoint import Checkpoint
from pyxl.ops.create import Building, start
from pyxl.ops.force import unless_forced
from pyxl.ops.placement import fit_placement
from pyxl.ops.preflight import can_be_built, can_replace, fits_this_host
from pyxl.ops.preflight_release import loads_here
from pyxl.ops.room import room_for
from pyxl.ops.settle import hold

if TYPE_CHECKING:
    from pyxl.checkpoint.stand_in import StandIn
    from pyxl.ops.checkpoint import Stream
    from pyxl.ops.disks_in_step import Aside
    from pyxl.repository.restored import PackedStandIn


def _fit_memory(config: GuestConfig, source: Source | None, report: Report) -> None:
    """Have ``config`` give the guest the memory that is in its file: xl writes one that gives it less.

    It does so of a guest that has not shrunk as it was told to, or that is populated on demand; libxc then fails.
    """
    target = config.target_kb
    if source is None or not target:
        return
    from pyxl.checkpoint.pages import memory_kb  # of a file alone

    if fitted := config.fit_memory(memory_kb(source, target + MAXMEM_SLACK_KB)):
        has, wanted, given = fitted
        report.remark(f"the checkpoint has {has} MiB, by its config {wanted} MiB: the guest gets {given} MiB")


def _disks_back(undo: Undo, checkpoint: Checkpoint, config: GuestConfig, report: Report) -> "list[Aside]":
    """Put the disks that belong to a checkpoint back, and return what stepped aside for them.

    :raise PyxlError: none belong to it, one of them was changed, or ``config`` has others.
    """
    from pyxl.ops.disks_in_step import put_back

    belonging = checkpoint.disks
    if not belonging:
        others = ", or it is not root's alone to write to" if checkpoint.identity and checkpoint.identity.disks else ""
        raise PyxlError(
            f"no copies of disks belong to the checkpoint{others}",
            "`pyxl save --disks` makes them; else restore without --disks.",
        )
    its = {vdev: path for vdev, path, _ in config.disks()}
    for each in belonging:
        if its.get(each.vdev) != each.base:
            raise PyxlError(f"disk {each.vdev} of the checkpoint is {each.base}, and the config has another")
    report.step("putting disks back")
    return put_back(undo, belonging, config.name)


def _disks_stood_still(checkpoint: Checkpoint, config: GuestConfig) -> None:
    """Refuse a checkpoint of which a disk has gone on; one that a config, or its user, has put in its place is theirs.

    :raise PyxlError: which disk, and since when.
    """
    if checkpoint.saved is None or not checkpoint.header.is_json:
        return
    from pyxl.ops.disks_in_step import check_stood_still

    saved = GuestConfig(checkpoint.header.config.decode("utf-8", "replace"), str(checkpoint.path))
    at_save = {(vdev, path) for vdev, path, write in saved.disks() if write}
    for vdev, path, write in config.disks():
        if write and (vdev, path) in at_save:
            has_copy = any(each.vdev == vdev for each in checkpoint.disks)
            check_stood_still(vdev, Path(path), checkpoint.saved, has_copy=has_copy)


class Restored(NamedTuple):
    """A domain that is back: ``size`` of the file in bytes (0 for a pipe), ``seconds`` until it ran.

    The guest was ``away`` for as many seconds, if that is known; ``clock`` is the checkpoint's.
    """

    domid: int
    name: str
    size: int
    seconds: float
    away: int | None = None
    clock: str = ""


def _moved_by(engine: str, xen: Hypervisor, checkpoint: Checkpoint) -> "tuple[Stream | StandIn | PackedStandIn, str]":
    """Return the stream as the engine that moves its memory wants it, and that engine with its words."""
    stream, source = checkpoint.stream, checkpoint.source
    is_hvm = checkpoint.policy is not None and checkpoint.policy[0]
    engine = proven(engine, xen.release(), is_hvm) if source else LIBXC
    if not engine or not hasattr(stream, "stand_in"):
        return stream, engine
    stand_in = stream.stand_in()
    return (stand_in, f"{engine} {stand_in.words}") if stand_in else (stream, LIBXC)


def restore(
    xen: Hypervisor, store: Store, open_dm: OpenDm, checkpoint: Checkpoint, config: GuestConfig, report: Report,
    *, replaced: GuestConfig | None = None, paused: bool = False, force: bool = False,
    engine: str = DIRECT, disks: bool = False, start_monitor: Callable[[int], None] | None = None,
) -> Restored:  # fmt: skip
    """Build a domain from a checkpoint, check that all that was read is what was saved, and let it go on.

    ``replaced`` is the checkpoint's own config, where ``config`` is another; ``start_monitor`` is called with the domid
    before the guest runs; ``force`` passes over the checks of the processor, of Xen, and of a config that does not fit;
    ``engine`` moves the memory of a file, libxc always that of a pipe; ``disks`` puts the guest's disks back, too.

    :raise OperationError: it failed; nothing of the domain is left, or the message says what is.
    """
    started = time.monotonic()
    with Undo(f'restore {checkpoint.path} "{config.name}"') as undo:
        if not config.uuid:
            config.new_uuid()
        undo.keep(hold(xen, store, open_dm, "restore", config.uuid, config.name, report.remark))
        undo.note(after=(After.PAUSE if paused else After.RESUME).name)
        for remark in can_be_built(xen, store, config, restored=True):
            report.remark(remark)
        for difference in can_replace(replaced, config, force) if replaced else []:
            report.remark(difference)
        processor = partial(fits_this_host, xen, checkpoint.policy)
        hypervisor = partial(loads_here, xen.release(), checkpoint.source)
        for passed_over in unless_forced(processor, force) + unless_forced(hypervisor, force):
            report.remark(passed_over)
        for remark in fit_placement(xen, store, config):
            report.remark(remark)
        _fit_memory(config, checkpoint.source, report)
        asides = _disks_back(undo, checkpoint, config, report) if disks else []
        if not disks:
            for passed_over in unless_forced(partial(_disks_stood_still, checkpoint, config), force):
                report.remark(passed_over)
        with room_for(xen, undo, config, report):
            undo.enter(Phase.BUILD, target=str(checkpoint.path))
            report.step("restoring memory")
            helper = programs.find(programs.SAVE_HELPER)
            stream, engine = _moved_by(engine, xen, checkpoint)
            stream.start()
            restored = partial(xen.restore, config.to_json(), stream.fd, helper, engine)
            building = Building(xen, undo, config.uuid, restored, stream.cut)
            try:
                domid = building.result(lambda: report.progress(stream.passed(), stream.size), report.interval)
            except XenError:
                stream.check()  # libxl only knows that its file ended
                raise
        report.progress(stream.size, stream.size)
        undo.enter(Phase.CHECKSUMS, domid=domid)
        stream.result()
        if not stream.is_summed:
            why = "it was compressed" if stream.trailer else "xl wrote it"
            report.remark(f"the checkpoint has no checksums ({why}): what it holds of memory was taken on trust")
        guest_clock.tell_guest(store, domid)
        start(xen, undo, domid, paused, start_monitor)
        seconds = time.monotonic() - started
        if asides:
            from pyxl.ops.disks_in_step import forget

            if left := forget(asides):
                report.remark(left)
    clock = checkpoint.identity.clock if checkpoint.identity else ""
    return Restored(domid, config.name, stream.size, seconds, guest_clock.away(checkpoint.saved), clock)
