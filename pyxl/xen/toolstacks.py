"""The other processes that work on this host's domains, from /proc: xl, daemons, save-helpers.

Knows processes by their command lines; does not know domains, nor what a process should be doing.
"""

import os
from pathlib import Path
from typing import NamedTuple

HELPERS = ("pyxl-save-helper", "libxl-save-helper")
MONITOR = "pyxl-monitor"
#: Daemons that drive libxl or libxc by themselves, by the start of their programs' names.
STANDING = ("libvirtd", "virtxend", "xenopsd")
SAVING = ("save", "migrate", "remus")
BUILDING = ("create", "restore", "migrate-receive")
#: Processes that adopt orphans: a save-helper with such a parent has lost its toolstack.
_ADOPTERS = ("init", "systemd")


class Helper(NamedTuple):
    """A save-helper on ``domid``; an orphan when the toolstack that started it has died."""

    pid: int
    domid: int
    orphan: bool


class Xl(NamedTuple):
    """An xl that saves or builds; ``guest`` is the name of the guest that it watches, empty while it watches none.

    An xl that has built a guest stays as its monitor, with the command line that it was started with.
    """

    pid: int
    command: str
    guest: str


class Toolstacks(NamedTuple):
    """One look at the processes of this host; ``standing`` are the names of daemons."""

    helpers: list[Helper]
    xls: list[Xl]
    standing: list[str]

    def saver(self) -> Xl | None:
        """Return an xl that saves or migrates some guest, None when none does."""
        return next((xl for xl in self.xls if xl.command in SAVING), None)

    def builder(self, name: str) -> Xl | None:
        """Return an xl that may be building the guest called ``name``, None when none can be."""
        return next((xl for xl in self.xls if xl.command in BUILDING and xl.guest in ("", name)), None)

    def watcher(self, name: str) -> Xl | None:
        """Return the xl that watches the guest called ``name``, None where none does."""
        return next((xl for xl in self.xls if name and xl.guest == name), None)

    def idle(self) -> bool:
        """Tell whether nobody saves or builds anything now."""
        return not (self.standing or self.helpers or any(not xl.guest for xl in self.xls))


def look(proc: Path = Path("/proc")) -> Toolstacks:
    """Return which toolstacks and save-helpers run now."""
    found = Toolstacks([], [], [])
    for process in proc.iterdir():
        words = _words(process) if process.name.isdigit() else []
        if not words:
            continue
        pid = int(process.name)
        program = Path(words[0]).name
        if domid := helped(words):
            found.helpers.append(Helper(pid, domid, _orphaned(process)))
        elif program == "xl":
            command = next((word for word in words[1:] if not word.startswith("-")), "")
            if command in (*SAVING, *BUILDING):
                found.xls.append(Xl(pid, command, _watched(process)))
        elif program.startswith(STANDING):
            found.standing.append(program)
    return found


def is_watched(uuid: str, proc: Path = Path("/proc")) -> bool:
    """Tell whether a monitor of pyxl's watches a guest, or a daemon that watches all of its own runs here."""
    for process in proc.iterdir():
        words = _words(process) if process.name.isdigit() else []
        if words and (watched_by(words) == uuid or Path(words[0]).name.startswith(STANDING)) and _is_ours(process):
            return True
    return False


def watched_by(words: list[str]) -> str:
    """Return the uuid of the guest that a monitor of pyxl's was started for, "" when the words are not a monitor's."""
    at = next((number for number, word in enumerate(words) if Path(word).name == MONITOR), len(words))
    return words[at + 2] if len(words) > at + 2 else ""


def is_helper(pid: int, domid: int) -> bool:
    """Tell whether ``pid`` still is a save-helper on ``domid``, and not another process under an old number."""
    return bool(domid) and helped(_words(Path(f"/proc/{pid}"))) == domid


def helped(words: list[str]) -> int:
    """Return the domid that a save-helper was started for, 0 when the words are not a save-helper's."""
    for mode in ("--save-domain", "--restore-domain"):
        if mode in words and any(Path(word).name in HELPERS for word in words[: words.index(mode)]):
            arguments = words[words.index(mode) + 1 :]
            return int(arguments[2]) if len(arguments) > 2 and arguments[2].isdigit() else 0
    return 0


def _is_ours(process: Path) -> bool:
    """Tell whether a process is this user's: any other may call itself what it likes."""
    try:
        return process.stat().st_uid == os.geteuid()
    except OSError:  # it ended while we looked
        return False


def _words(process: Path) -> list[str]:
    """Return a process' argv, empty for a kernel thread and for one that has ended."""
    return _read(process / "cmdline").split("\0")[:-1]


def _orphaned(process: Path) -> bool:
    lines = _read(process / "status").splitlines()
    parent = next((line.split()[1] for line in lines if line.startswith("PPid:")), "1")
    return parent == "1" or _read(process.parent / parent / "comm").strip() in _ADOPTERS


def _watched(process: Path) -> str:
    """Return the guest that an xl watches: as a monitor it logs to a file that is named by it."""
    try:
        log = (process / "fd" / "1").readlink().name
    except OSError:
        return ""
    return log.removeprefix("xl-").rpartition(".log")[0] if log.startswith("xl-") else ""


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it ended while we looked
        return ""
