"""The checks before a domain is built."""

from pathlib import Path

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import cpu_policy
from pyxl.formats.stream.cpu_policy import CpuPolicy
from pyxl.model import paths
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops import programs
from pyxl.ops.force import unless_forced
from pyxl.ops.lookup import name_of
from pyxl.ops.preflight_disks import check_not_in_use

#: What only the first start of a guest without a device model reads; of HVM, qemu reads a kernel at a restore, too.
_STARTED_FROM = ("kernel", "ramdisk", "bootloader")


def can_be_built(xen: Hypervisor, store: Store, config: GuestConfig, *, restored: bool = False) -> list[str]:
    """Refuse a guest that this host cannot run now, and return remarks.

    :raise PyxlError: its name is taken, a file of this host is missing, or a disk is in use.
    """
    _check_identity(xen, store, config)
    remarks = []
    for what, path in config.host_files():
        # libxl looks for a kernel or firmware with a relative path in Xen's own directories.
        if path.startswith("/") and not Path(path).exists():
            if restored and what in _STARTED_FROM and config.type != "hvm":
                remarks.append(f"{what} is missing: {path}; the guest's next reboot needs it")
                continue
            front = Path(path).name == programs.QEMU_DM
            hint = "`--dm-control qmp` starts Xen's own qemu instead." if front else ""
            raise PyxlError(f"{what} is missing: {path}", hint)
    check_not_in_use(xen, store, config.disks())
    if Path(paths.CLONES).is_dir():
        from pyxl.ops.clones import check_not_a_base  # few hosts have clones

        check_not_a_base(config.disks())
    return remarks


def can_replace(saved: GuestConfig, config: GuestConfig, force: bool) -> list[str]:
    """Refuse a config that does not fit the checkpoint whose own is ``saved``; return what the guest will notice.

    ``force`` passes over the refusal.

    :raise PyxlError: each key with both values.
    """
    from pyxl.formats.config_difference import differences  # most restores have no other config

    found = list(differences(saved.document, config.document))

    def check() -> None:
        if fatal := [str(difference) for difference in found if difference.fatal]:
            raise PyxlError(
                f"the config does not fit the checkpoint: {'; '.join(fatal)}",
                "`pyxl inspect --config FILE` shows what the guest was saved with.",
            )

    noticed = [f"the guest may notice: {difference}" for difference in found if not difference.fatal]
    return unless_forced(check, force) + noticed


def fits_this_host(xen: Hypervisor, seen: tuple[bool, CpuPolicy] | None) -> None:
    """Refuse a checkpoint whose guest has seen a processor that this host cannot give it; Xen would only mask it.

    ``seen`` is what cpu_policy.of_stream found; None, from an older Xen, fits everywhere.

    :raise PyxlError: what this host lacks.
    """
    if seen is None:
        return
    hvm, guest = seen
    if missing := cpu_policy.lacking(guest, cpu_policy.decode(*xen.max_cpu_policy(hvm))):
        raise PyxlError(
            f"this host's processor, as Xen gives it to guests, lacks what the guest runs on: {', '.join(missing)}",
            "Restore it on a host that has it; `cpuid=` in a guest's config hides it, before the guest is created.",
        )


def _check_identity(xen: Hypervisor, store: Store, config: GuestConfig) -> None:
    """Refuse a guest that already runs, or one whose name is taken.

    For libxl a dying domain keeps its name as long as xenstore has it.  For pyxl a uuid belongs to one guest: a domain
    that could not be built is found by it and destroyed.
    """
    name = config.name
    for domain in xen.domains():
        its_name = name_of(store, domain.domid)
        if domain.uuid == config.uuid and its_name != name and not domain.dying:
            raise PyxlError(
                f'domain {domain.domid} "{its_name}" is this guest: it has its uuid, {domain.uuid}',
                f"End it with `pyxl destroy {domain.domid}`, or give the new one another uuid in a config file.",
            )
        if its_name != name:
            continue
        if domain.dying:
            raise PyxlError(
                f'a domain named "{name}" is still being destroyed (domid {domain.domid})',
                "Try again when `pyxl list` shows it no more; a process that maps its memory may hold it.",
            )
        raise PyxlError(
            f'a domain named "{name}" exists already (domid {domain.domid})',
            f"End it with `pyxl destroy {domain.domid}`, or give the new one another name in a config file.",
        )
