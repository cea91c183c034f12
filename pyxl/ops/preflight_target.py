"""The checks of where a checkpoint is to go: it can be written, nobody else needs what is there, and there is room.

They touch nothing.
"""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Hypervisor, Store
from pyxl.ops.force import unless_forced
from pyxl.ops.lookup import name_of
from pyxl.ops.preflight_disks import backends, identity, path_of, under

#: A stream is the guest's pages and, for each batch of 1024 gfns up to 4 GiB, its list: some 8 MiB.
STREAM_OVERHEAD = 16 << 20


def can_be_written(
    xen: Hypervisor, store: Store, target: Path, memory: int,
    *, destroys: bool, force: bool, compressed: bool = False, what: str = "checkpoint",
) -> list[str]:  # fmt: skip
    """Refuse a target that cannot take the ``what`` of a guest with ``memory`` bytes, or that somebody needs.

    ``destroys`` says that the guest is then nowhere else.  ``force`` passes over the check for room, and returns what
    it found: a file system may compress, or not know.  How much room a ``compressed`` one needs shows only while it is
    written, so for that one a lack of room is a remark.

    :raise PyxlError: the reason and its remedy.
    """
    if target.resolve().parent.is_dir():
        _check_not_on_a_disk(store, target)
    _check_place(target)
    if destroys and target.is_char_device():
        raise PyxlError(f"{target} keeps nothing: the guest would be gone", "`-c` lets it run on after such a save.")
    if target.exists():
        _check_nobody_s(xen, store, target)
    if not compressed:
        return unless_forced(lambda: _check_room(target, memory + STREAM_OVERHEAD, what), force)
    try:
        _check_room(target, memory + STREAM_OVERHEAD, what)
    except PyxlError as shortage:
        return [f"{shortage} where it cannot be compressed"]
    return []


def has_an_end(target: Path | int) -> None:
    """Refuse a compressed checkpoint on a block device: its seek table stands at its end, where nobody would find it.

    :raise PyxlError: it would be on one.
    """
    if stat.S_ISBLK(os.fstat(target).st_mode) if isinstance(target, int) else target.is_block_device():
        raise PyxlError(
            "a block device keeps no compressed checkpoint: the end of the file could not be found again",
            "Save to a file, or with `--compress=off`.",
        )


def _check_place(target: Path) -> None:
    directory = target.resolve().parent
    if not directory.is_dir():
        raise PyxlError(f"there is no directory {directory}", f"`mkdir -p {directory}` makes it.")
    if target.is_dir():
        raise PyxlError(f"{target} is a directory", f"Name a file in it, such as {target / 'checkpoint'}.")
    place = directory if target.is_file() or not target.exists() else target
    if not os.access(place, os.W_OK):
        read_only = os.statvfs(place).f_flag & os.ST_RDONLY
        why = "it is on a read-only file system" if read_only else "its permissions or attributes forbid it"
        raise PyxlError(f"{place} cannot be written to: {why}", "Name a file elsewhere, or change that.")


def _check_not_on_a_disk(store: Store, target: Path) -> None:
    """Refuse a file in a file system that a domain has, too: each of the two would overwrite what the other writes."""
    device = target.resolve().parent.stat().st_dev
    if not os.major(device):
        return  # in memory, on another host, or of several devices
    parts = set(under(device))
    for domid, backend in backends(store):
        if identity(path := path_of(store, backend)) in parts:
            raise PyxlError(
                f'{target.parent} is on a disk of domain {domid} "{name_of(store, domid)}" ({path})',
                "Name a file elsewhere: this host and the domain would overwrite each other's.",
            )


def _check_nobody_s(xen: Hypervisor, store: Store, target: Path) -> None:
    """Refuse what a domain uses, and a device that this host does."""
    there = identity(str(target))
    if there is None:
        return  # a pipe or character device
    elsewhere = "Name another file; this one would be replaced."
    for domid, backend in backends(store):
        if identity(path_of(store, backend)) == there:
            raise PyxlError(f'{target} is a disk of domain {domid} "{name_of(store, domid)}"', elsewhere)
    for domain in xen.domains():
        if domain.domid and not domain.dying:
            name = name_of(store, domain.domid)
            for what, path in _files_of(domain, name):
                if identity(path) == there:
                    raise PyxlError(f'{target} is the {what} of domain {domain.domid} "{name}"', elsewhere)
    if target.is_block_device():
        _check_device(target)


def _files_of(domain: DomainInfo, name: str) -> Iterator[tuple[str, str]]:
    """Yield (what it is, path) for each file of this host that a domain has: its logs, and those of its config.

    The config is the one that libxl keeps in a file: to ask libxl for it means to ask the device model, which may be
    stopped, or busy with another save.
    """
    from pyxl.formats.host_references import Kind  # most targets do not exist yet

    for program in ("qemu-dm", "pyxl", "xl"):
        yield "log", f"{paths.LOG_DIRECTORY}/{program}-{name}.log"
    file = Path(paths.libxl_config(domain.domid, domain.uuid))
    try:
        config = GuestConfig(file.read_text().rstrip("\0"), str(file))
    except (OSError, ValueError, PyxlError):  # another toolstack's, or one that is being built
        return
    for reference in config.references():
        if reference.kind is Kind.FILE:
            yield reference.what, reference.path
        elif reference.path.startswith("file:"):
            yield reference.what, reference.path.removeprefix("file:")


def _check_device(target: Path) -> None:
    """Refuse a block device that is mounted, swapped to, or a member of a volume group or array."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise PyxlError(
            f"{target} is in use by this host: mounted, swapped to, or a part of a volume group or array",
            "Name another device; this one would be overwritten.",
        ) from error


def _check_room(target: Path, needed: int, what: str) -> None:
    if target.is_block_device():
        from pyxl.disks.copies import size_of  # few saves go to a device

        place, free = target, size_of(str(target))
    elif target.exists() and not target.is_file():
        return  # a pipe has no size of its own
    else:
        place = target.resolve().parent
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and limit < needed:
            raise PyxlError(
                f"no file may be larger than {limit >> 20} MiB here, the {what} needs up to {needed >> 20} MiB",
                "`ulimit -f unlimited` in this shell, or LimitFSIZE= in its unit.",
            )
        room = os.statvfs(place)
        if not room.f_blocks:
            return  # ramfs and some of FUSE do not know
        free = room.f_bavail * room.f_frsize
    if free < needed:
        raise PyxlError(
            f"{place} has {free >> 20} MiB free, the {what} needs up to {needed >> 20} MiB",
            f"Make room, or name a file elsewhere; an old {what} stays until the new one is whole.",
        )
