"""What a guest's monitor does when the guest reboots, powers off or crashes; how it waits is in helper/monitor.py.

A suspend is no end, so it stays through a save.  Where a save has died, it does for its guest what `pyxl recover` does.
"""

import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from pyxl.checkpoint.journal import Busy, Journal, holder
from pyxl.errors import PyxlError, StoreError, XenError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.xlcfg.options import ACTIONS
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.model.phases import After, Phase
from pyxl.model.ports import Hypervisor, OpenDm, Store
from pyxl.ops.config_update import take
from pyxl.ops.destroy import bring_down
from pyxl.ops.lookup import name_of
from pyxl.ops.placement import fit_placement
from pyxl.ops.recover import Recovery, put_right
from pyxl.ops.settle import hold

#: Which key of the config says what to do; a reason that is not here is treated as a crash.
EVENTS = {
    ShutdownReason.POWEROFF: "on_poweroff",
    ShutdownReason.REBOOT: "on_reboot",
    ShutdownReason.CRASH: "on_crash",
    ShutdownReason.WATCHDOG: "on_watchdog",
    ShutdownReason.SOFT_RESET: "on_soft_reset",
}
#: Seconds between two looks at a guest that is suspended, and after it could not put something right.
SUSPENDED_SECONDS = 1.0
RETRY_SECONDS = 60.0
#: Seconds before each further try to build a domain in place of one that has ended; libxl itself waits 2 s for the end
#: of the old device model, which on a slow disk takes longer.
BUILD_AGAIN_AFTER = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0)

Log = Callable[[str], None]


def attend(xen: Hypervisor, store: Store, open_dm: OpenDm, domid: int, uuid: str, log: Log) -> int:
    """Do what a guest needs that has shut down, or that a dead operation has left, for as long as it needs something.

    :return: the domid to watch from now on, 0 where none is left.
    """
    with store.watch(paths.RELEASE_DOMAIN) as released:
        while True:
            domain = xen.domain(domid)
            if domain is None or domain.dying or domain.uuid != uuid:
                log(f"domain {domid} is gone")
                return 0
            if domain.shutdown_reason is not None and not domain.suspended:
                try:
                    following = act(xen, store, open_dm, domain, log)
                except Busy:
                    return domid
                return following.domid if following is not None else 0
            if not domain.suspended and not Path(paths.journal(uuid)).exists():
                return domid
            if holder(uuid) is not None:
                return domid
            released.wait(SUSPENDED_SECONDS if heal(xen, store, open_dm, domain, log) else RETRY_SECONDS)


def heal(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, log: Log) -> bool:
    """Put right what a dead toolstack has left of this guest; return False if something could not be."""
    try:
        findings = Recovery(xen, store, open_dm, domain.uuid).find()
    except (PyxlError, OSError) as error:
        log(f"cannot tell what a dead save has left: {error}")
        return False
    healed = True
    for finding in findings:
        if not finding.but:  # else somebody may be at it; the next look shows
            done, said = put_right(finding, named=False)
            log(f"{finding.what}: {said}")
            healed = healed and done
    return healed


def act(xen: Hypervisor, store: Store, open_dm: OpenDm, domain: DomainInfo, log: Log) -> DomainInfo | None:
    """Do what the guest's config says about a shutdown, and return the domain to watch from now on.

    :raise Busy: another operation on the guest is in progress.
    """
    domid = domain.domid
    reason = domain.shutdown_reason if isinstance(domain.shutdown_reason, ShutdownReason) else ShutdownReason.CRASH
    with hold(xen, store, open_dm, reason.name.lower(), domain.uuid, name_of(store, domid), log, needed=False):
        config = GuestConfig(xen.config_json(domid), f"domain {domid}")
        config.set_domid(0)
        action = config.action(EVENTS[reason])
        said = next((xl for xl, libxl in ACTIONS.items() if libxl == action), action)
        log(f'domain {domid} "{config.name}": {reason.name.lower()}, {EVENTS[reason]}={said}')
        if action == "soft_reset":
            xen.soft_reset(domid, config.to_json())
            xen.unpause(domid)
            log(f'domain {domid} "{config.name}" goes on after a soft reset')
            return xen.domain(domid)
        following = (take(domain, log) if "restart" in action else None) or config
        if not end(xen, store, domid, config, action, log):
            return None
    with Journal("restart", following.uuid, following.name, needed=False) as journal:
        journal.note(phase=Phase.BUILD.name, after=After.RESUME.name)
        new_domid = build_again(xen, store, following, log)
        journal.note(phase=Phase.UNPAUSE.name, domid=new_domid)
        xen.unpause(new_domid)
    log(f'domain {new_domid} "{following.name}" takes the place of {domid}')
    return xen.domain(new_domid)


def build_again(xen: Hypervisor, store: Store, config: GuestConfig, log: Log) -> int:
    """Build a domain in place of one that has ended, whose device model may still hold a disk; return its domid.

    Its cpupool may be gone since it was started.

    :raise XenError: it cannot be built, for all tries.
    """
    for seconds in BUILD_AGAIN_AFTER:
        try:
            for remark in fit_placement(xen, store, config):
                log(f'"{config.name}": {remark}')
            return xen.create(config.to_json())
        except (XenError, StoreError) as error:
            log(f'"{config.name}" could not be built, once more in {seconds:.0f} s: {error}')
        time.sleep(seconds)
    return xen.create(config.to_json())


def end(xen: Hypervisor, store: Store, domid: int, config: GuestConfig, action: str, log: Log) -> bool:
    """End a domain as ``action`` says; return whether another one, of ``config``, is to replace it."""
    if action.startswith("coredump_"):
        dump = paths.crash_dump(config.name, time.strftime("%Y-%m-%d-%H%M.%S"))
        try:
            Path(dump).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            xen.core_dump(domid, dump)
            log(f"memory of domain {domid} written to {dump}")
        except (PyxlError, OSError) as error:
            log(f"memory of domain {domid} not written: {error}")
        action = action.removeprefix("coredump_")
    if action == "destroy":
        bring_down(xen, store, domid, log)
        log(f"domain {domid} destroyed")
        return False
    if action == "restart":
        bring_down(xen, store, domid, log)
        return True
    if action == "restart_rename":
        # The guest keeps its uuid, by which licences and backups know it; its corpse gets the new one, as under xl.
        suffix, uuid = f"-{time.strftime('%Y%m%dT%H%MZ', time.gmtime())}", str(uuid4())
        xen.preserve(domid, config.to_json(), suffix, uuid)
        log(f'domain {domid} kept as "{config.name}{suffix}", with the uuid {uuid}')
        return True
    log(f"domain {domid} left as it is")
    return False
