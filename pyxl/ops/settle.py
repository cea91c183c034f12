"""Do what an operation owed when its process died, in Owed's order (model/phases.py).

The caller holds the guest's journal, so that nobody else acts on it.  All of it may be done twice.
"""

import contextlib
import json
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

from pyxl.checkpoint.journal import Entry, Journal
from pyxl.checkpoint.new_file import temporary_of
from pyxl.errors import DeviceModelError, DeviceModelTimeout, GuestError, OperationError, PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model.copied import Copied
from pyxl.model.domain import DomainInfo
from pyxl.model.phases import After, Owed, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.room import give_back
from pyxl.ops.suspend import call_off, resume, withdraw
from pyxl.xen import toolstacks

#: Seconds that a helper may take for libxc's clean-up after SIGTERM, and to end after SIGKILL.
TERM_SECONDS = 10.0
KILL_SECONDS = 5.0


def settle(xen: Hypervisor, store: Store, open_dm: OpenDm, entry: Entry) -> list[str]:
    """Do what ``entry`` owes, and return a few words for each thing done.

    :raise PyxlError: something could not be done; what comes after it was not tried.
    :raise OSError: the temporary file could not be removed.
    """
    if entry.phase not in Phase.__members__:
        raise PyxlError(f'{entry.says()} died in a phase that this pyxl does not know: "{entry.phase}"')
    phase = Phase[entry.phase]
    domain = domain_of(xen, entry)
    said: list[str] = []
    if domain and phase is Phase.SUSPEND and domain.shutdown_reason is None:
        with contextlib.suppress(GuestError):  # the guest has ended, and needs nothing more
            if call_off(xen, store, domain.domid):
                said.append("suspend request withdrawn")
        domain = domain_of(xen, entry)
    if domain and phase is Phase.DUMP and entry.after == After.RESUME.name and domain.paused:
        xen.unpause(domain.domid)
        said.append("guest unpaused")
    if domain and Owed.GUEST in phase.owes:
        said += let_go_on(xen, store, open_dm, domain)
    if phase.owes & (Owed.HELPER | Owed.DOMAIN):
        said += _end_helpers(domain.domid if domain else entry.domid, entry.helper)
    if domain and entry.live and Owed.LOG_DIRTY in phase.owes:
        said += log_dirty_off(xen, store, open_dm, domain)
    if domain and Owed.DOMAIN in phase.owes:
        said += destroy_unborn(xen, domain)
    if Owed.ROOM in phase.owes and entry.room:
        said.append(give_back(xen, entry.room))
    if Owed.COPIES in phase.owes and entry.copies and not _has_its_name(entry):
        said += remove_copies(entry)
    if Owed.FILE in phase.owes:
        said += remove_temporary(entry)
    if Owed.END in phase.owes:
        said += _bring_to_end(xen, store, open_dm, entry, phase, domain)
    if Owed.ASIDE in phase.owes and entry.aside:
        said.append(_settle_aside(entry, phase, domain))
    return said


def hold(
    xen: Hypervisor, store: Store, open_dm: OpenDm, operation: str, uuid: str, name: str, say: Callable[[str], None],
    *, needed: bool = True,
) -> Journal:  # fmt: skip
    """Do what a dead operation in the guest's journal owed, say so, and return the journal, held for ``operation``.

    ``needed`` is Journal's.

    :raise Busy: another operation on the guest is in progress.
    :raise PyxlError: the owed undo cannot be done; it stays in the journal.
    """
    journal = Journal(operation, uuid, name, needed=needed)
    if journal.left is not None:
        try:
            for said in settle(xen, store, open_dm, journal.left):
                say(f"{journal.left.says()} had died: {said}")
        except BaseException:
            journal.leave()
            raise
        journal.begin()
    if journal.trouble is not None:
        say(f"no journal can be kept ({journal.trouble}): what is done now is not put right if pyxl dies in the middle")
    return journal


def domain_of(xen: Hypervisor, entry: Entry) -> DomainInfo | None:
    """Return the living domain of an operation: by its uuid, since its domid may be another's by now."""
    for domain in xen.domains():
        if domain.uuid == entry.uuid and not domain.dying and entry.domid in (0, domain.domid):
            return domain
    return None


def end_helper(pid: int, domid: int) -> str:
    """End a save-helper whose toolstack has died: SIGTERM first, so that libxc cleans up, then SIGKILL.

    :raise PyxlError: it does not end.
    """
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not toolstacks.is_helper(pid, domid):
                return f"save-helper {pid} ended"
            time.sleep(0.05)
    raise PyxlError(f"save-helper {pid} does not end")


def log_dirty_off(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo) -> list[str]:
    """Have Xen and the device model stop tracking writes; a device model that fails is only reported."""
    xen.log_dirty_off(domain.domid)
    try:
        device_model = open_dm(domain, store)
        if device_model is not None:
            device_model.log_dirty(False)
    except DeviceModelError as error:
        return [f"log-dirty may still be on ({error})"]
    return ["log-dirty off"]


def let_go_on(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo) -> list[str]:
    """Let a guest go on that was asked to suspend, or has; a device model that has died is only reported.

    :raise DeviceModelTimeout: the vcpus run, but the device model did not answer; it must go on once it does.
    """
    said = []
    if withdraw(store, domain.domid):
        said.append("suspend request withdrawn")
    device_model = None
    try:
        device_model = open_dm(domain, store)
    except DeviceModelError as error:
        said.append(f"without its device model ({error})")
    try:
        if domain.suspended:
            said.append("guest resumed")
            resume(xen, store, device_model, domain.domid)
        elif domain.shutdown_reason is None:
            said.append("guest still running")
            if device_model is not None:
                device_model.resume()
    except DeviceModelTimeout:
        raise
    except DeviceModelError as error:
        said.append(f"but without its device model ({error})")
    return said


def destroy_unborn(xen: Hypervisor, domain: DomainInfo) -> list[str]:
    """Destroy a domain that never ran; one that has run is somebody's guest, and is left as it is."""
    if never_ran(domain):
        xen.destroy(domain.domid)
        return [f"domain {domain.domid} destroyed"]
    return [f"domain {domain.domid} has run, and is left as it is"]


def never_ran(domain: DomainInfo) -> bool:
    return domain.paused and domain.cpu_time == 0 and domain.shutdown_reason is None


def _settle_aside(entry: Entry, phase: Phase, domain: DomainInfo | None) -> str:
    """Put disks back that have stepped aside for a guest that was not built; remove them once it goes on."""
    from pyxl.ops import disks_in_step  # few restores put disks back

    asides = disks_in_step.noted(entry.aside)
    if phase is not Phase.UNPAUSE:
        return disks_in_step.as_before(asides)
    if domain is not None:
        return disks_in_step.forget(asides) or "its disks from before removed"
    return "its disks from before are left: " + ", ".join(each.path for each in asides if each.path)


def remove_copies(entry: Entry) -> list[str]:
    """Remove the copies of a guest's disks that a save has made, or some of them.

    :raise PyxlError: one cannot be removed.
    """
    from pyxl.disks import copies  # few saves have any

    made = [Copied(*each) for each in json.loads(entry.copies)]
    if left := copies.take_away(made):
        raise PyxlError(f"the copies of the guest's disks are not all gone{left}")
    return [f"{', '.join(each.path for each in made)} removed"]


def remove_temporary(entry: Entry) -> list[str]:
    """Remove the new file beside a target if it still exists as a regular file, in a directory that is no link."""
    if not entry.target:
        return []
    temporary = temporary_of(Path(entry.target), entry.pid)
    name = temporary.name
    try:
        directory = os.open(temporary.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return []
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return []
    finally:
        os.close(directory)
    return [f"{temporary} removed"]


def _end_helpers(domid: int, noted: int) -> list[str]:
    """End the helpers of a toolstack that has died: the one that it noted, and any orphan on the domain."""
    helpers = [helper for helper in toolstacks.look().helpers if helper.domid == domid]
    return [end_helper(helper.pid, domid) for helper in helpers if helper.orphan or helper.pid == noted]


def _bring_to_end(
    xen: Hypervisor, store: Store, open_dm: OpenDm, entry: Entry, phase: Phase, domain: DomainInfo | None
) -> list[str]:
    """Do what was ordered for the domain; by now the file of a save, or the domain of a restore or create, is whole."""
    if domain is None:
        return []
    if phase is Phase.UNPAUSE:
        if entry.after == "RESUME" and never_ran(domain):
            xen.unpause(domain.domid)
            return [f"domain {domain.domid} unpaused"]
        return [f"domain {domain.domid} is whole"]
    if not domain.suspended:
        return ["guest still running"]
    if entry.after == "DESTROY" and _is_checkpoint_of(entry):
        xen.destroy(domain.domid)
        return [f"{entry.target} is whole; domain {domain.domid} destroyed"]
    if entry.after == "PAUSE" and not domain.paused:  # Xen counts pauses: two would need two to undo them
        xen.pause(domain.domid)
    return let_go_on(xen, store, open_dm, domain)


def _has_its_name(entry: Entry) -> bool:
    """Tell whether a save has become a checkpoint, in a file or a repository."""
    target = Path(entry.target)
    if target.suffix != ".pack":
        return _is_checkpoint_of(entry)
    from pyxl.repository.repository import Repository

    with contextlib.suppress(PyxlError, ValueError):
        return Repository(target.parent.parent).manifest_path(int(target.stem)).exists()
    return False


def _is_checkpoint_of(entry: Entry) -> bool:
    """Tell whether the file holds the whole guest, so that the domain is no longer needed."""
    # Imported here: few operations meet one that died so late.
    from pyxl.ops.checkpoint import open_checkpoint

    target = Path(entry.target)
    if not target.is_file():
        return False
    try:
        with open_checkpoint(target) as checkpoint:
            config = GuestConfig(checkpoint.header.config.decode(), entry.target)
            return config.uuid == entry.uuid and target.stat().st_mtime >= entry.since
    except (OperationError, UsageError, UnicodeDecodeError):
        return False
