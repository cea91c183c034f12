"""Which host writes to a repository on a network file system, where the locks of one host may not hold for another."""

import os
from pathlib import Path

from pyxl.errors import PyxlError

#: Types of mounted file systems that several hosts can use at once; those of FUSE are all taken for such.
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs",
}  # fmt: skip
_NAME = "host"


def claim(directory: Path) -> None:
    """Note in ``directory`` that this host writes to the repository, if its file system is a shared one.

    :raise PyxlError: another host does.
    """
    if not is_shared(file_system(directory)):
        return
    path = directory / _NAME
    identity, name = _machine(), os.uname().nodename
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        found, _, other = path.read_text("utf-8", "replace").strip().partition(" ")
        if found != identity:
            raise PyxlError(
                f"{other or 'another host'} writes to the repository in {directory.parent}, and its locks may not hold "
                f"for {name}",
                f"`rm {path}`, when that host does not use it any more.",
            ) from None
    else:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(f"{identity} {name}\n")
            file.flush()
            os.fsync(fd)  # an empty file would stop this host, too


def is_shared(kind: str) -> bool:
    """Tell whether several hosts can use a file system of this type at once."""
    return kind in _SHARED or kind.startswith("fuse.")


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that has ``path``; empty where the kernel does not say it."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.read_text("utf-8", "surrogateescape").splitlines():
        place, _, source = line.partition(" - ")
        if place.split(" ")[2] == wanted:
            return source.split(" ")[0]
    return ""


def _machine() -> str:
    """Return what no other host calls itself."""
    try:
        return Path("/etc/machine-id").read_text().strip() or os.uname().nodename
    except FileNotFoundError:
        return os.uname().nodename
