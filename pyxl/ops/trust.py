"""What a config out of a checkpoint may make this host do: anybody may have made it, unlike a config file."""

import os
import stat
from pathlib import Path

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.host_references import Kind, Reference
from pyxl.ops import programs

_REMEDY = "If you trust it, say so with a config of your own: `pyxl restore CONFIG FILE`."
_MAX_LINKS = 40


def admit(config: GuestConfig, own: bool) -> str:
    """Refuse a config out of a checkpoint that would make this host run what is not root's own.

    Programs must be pyxl's, or root's and writable by nobody else along their whole path.  Words for a program and
    hardware are refused unless the checkpoint is ``own``: root's, and writable by nobody else.  Returns a
    line that names the rest, empty when there is nothing.

    :raise PyxlError: the first reference that is refused, or text that is not to be shown or used in a file's name.
    """
    if any(not text.isprintable() for text in config.texts()):
        raise PyxlError("the checkpoint's config has control characters in it", _REMEDY)
    if "/" in config.name:
        raise PyxlError(f'the checkpoint\'s guest has a name that is a path: "{config.name}"', _REMEDY)
    found = list(config.references())
    for reference in found:
        if reference.kind in (Kind.ARGUMENTS, Kind.HARDWARE) and not own:
            raise PyxlError(f"the checkpoint names {_says(reference)}: {reference.kind.value}", _REMEDY)
        if reference.kind is Kind.PROGRAM and not _may_run(reference):
            raise PyxlError(
                f"the checkpoint names {_says(reference)}: run as root, but not root's alone to change", _REMEDY
            )
    named = [_says(reference) for reference in found if reference.kind is not Kind.PROGRAM]
    return f"the checkpoint names of this host: {', '.join(named)}" if named else ""


def _says(reference: Reference) -> str:
    return f"{reference.what} {reference.path}"


def _may_run(reference: Reference) -> bool:
    if reference.what == "bootloader" and "/" not in reference.path:
        return True  # libxl finds it in Xen's own directory
    if Path(reference.path).name == programs.QEMU_DM and reference.path == programs.find(programs.QEMU_DM):
        return True
    return _root_s_alone(reference.path)


def _root_s_alone(path: str, links: int = 0) -> bool:
    """Return whether only root can change what ``path`` leads to, even if its end is missing."""
    if not path.startswith("/") or os.path.normpath(path) != path or links > _MAX_LINKS:
        return False
    end = Path(path)
    others_may_add = False
    for step in (*reversed(end.parents), end):
        try:
            status = step.lstat()
        except FileNotFoundError:
            return not others_may_add
        except OSError:
            return False
        if status.st_uid:
            return False
        if stat.S_ISLNK(status.st_mode):
            target = os.path.normpath(step.parent / step.readlink() / end.relative_to(step))
            return _root_s_alone(target, links + 1)
        others_may_add = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
        # In a sticky directory others may add, but not replace.
        if others_may_add and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
            return False
    return True
