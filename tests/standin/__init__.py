"""The save-helper at work where there is no Xen: its own program, on stand-ins for Xen's libraries (standin.c)."""

import os
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from pyxl.formats import helper_messages as messages
from pyxl.model.engine import DIRECT
from pyxl.ops import programs
from tests.compiled import shared_library

FOLDER = Path(__file__).parents[2] / ".venv" / "xen-standin"
SOURCE = Path(__file__).parent / "standin.c"
LIBRARY = "standin.so"
SONAMES = ("libxenctrl.so.4.17", "libxenguest.so.4.17", "libxenforeignmemory.so.1")
VERSION = {"major": "4", "minor": "17"}
#: What the toolstack answers.
ANSWERS = {"suspend": 1, "static_data_done": 0, "complete": 0}
DOMID, STORE, CONSOLE = 7, 1, 2


class Taken(NamedTuple):
    """What a run of the helper took: seconds by the clock and of CPU, and its peak memory in MiB."""

    wall: float
    cpu: float
    memory: float


class Failed(Exception):
    """The helper said why it could not."""


def save(memory: int, words: str, stream: int, table: int = -1) -> Taken:
    """Save the domain whose memory is the file ``memory`` to the descriptor ``stream``.

    ``words`` are pyxl.model.engine's; ``table`` gets an entry for each frame, where they ask for frames.

    :raise Failed: the helper cannot.
    """
    flags = messages.callback_flags("suspend", "switch_qemu_logdirty")
    arguments = ("--save-domain", stream, table, DOMID, 0, flags, 0)
    return _run(arguments, [fd for fd in (stream, table) if fd >= 0], words, {"STANDIN_MEMORY": _path(memory)})


def restore(memory: int, words: str, stream: int) -> Taken:
    """Fill a new domain, whose memory is the file ``memory``, from the descriptor ``stream``.

    :raise Failed: the helper cannot.
    """
    flags = messages.callback_flags("static_data_done")
    arguments = ("--restore-domain", stream, -1, DOMID, STORE, 0, CONSOLE, 0, flags, 0)
    return _run(arguments, [stream], words, {"STANDIN_MEMORY": _path(memory), "STANDIN_NEW": "1"})


def _path(fd: int) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"


def _run(arguments: Sequence[str | int], fds: Sequence[int], words: str, standin: dict[str, str]) -> Taken:
    folder = installed()
    environment = {
        **os.environ, **standin, "LD_PRELOAD": str(folder / LIBRARY), "LD_LIBRARY_PATH": str(folder),
        "PYXL_SAVE_HELPER_QUIET": "1", "PYXL_SAVE_HELPER_ENGINE": f"{DIRECT} {words}",
    }  # fmt: skip
    started = time.monotonic()
    with subprocess.Popen(
        [programs.find(programs.SAVE_HELPER), *map(str, arguments)], env=environment, pass_fds=fds,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as helper:  # fmt: skip
        return _serve(helper, started)


def _serve(helper: "subprocess.Popen[bytes]", started: float) -> Taken:
    """Answer a helper until it is done."""
    assert helper.stdin and helper.stdout
    said = []
    while head := helper.stdout.read(messages.LENGTH.size):
        name, values = messages.decode(helper.stdout.read(*messages.LENGTH.unpack(head)))
        if name == "log":
            said.append(str(values[-1]))
        if name == "complete":
            if values[0]:
                break
            # It waits for the answer, so it is still there.
            return Taken(time.monotonic() - started, *_usage(helper.pid))
        if name in messages.WAITS:
            helper.stdin.write(messages.REPLY.pack(ANSWERS[name]))
            helper.stdin.flush()
    raise Failed("; ".join(said))


def _usage(pid: int) -> tuple[float, float]:
    """Return the seconds of CPU that a process has had, and its peak memory in MiB."""
    process = Path("/proc") / str(pid)
    user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), int(status["VmHWM"].split()[0]) / 1024


@cache
def installed() -> Path:
    """Return the folder with the stand-ins and the version that they say; make it first where it is missing or old.

    :raise RuntimeError: there is no compiler.
    """
    if not (FOLDER / LIBRARY).exists() or (FOLDER / LIBRARY).stat().st_mtime < SOURCE.stat().st_mtime:
        (FOLDER / "version").mkdir(parents=True, exist_ok=True)
        for name, number in VERSION.items():
            (FOLDER / "version" / name).write_text(number)
        for soname in SONAMES:
            (FOLDER / soname).unlink(missing_ok=True)
            (FOLDER / soname).symlink_to(LIBRARY)
        # Moved when it is whole: another run may do the same at the same time.
        made = Path(mkdtemp(dir=FOLDER))
        shared_library(SOURCE, made / LIBRARY)
        (made / LIBRARY).rename(FOLDER / LIBRARY)
        made.rmdir()
    return FOLDER
