"""pyxl-monitor: stays for as long as its guest lives, and acts when that shuts down, or an operation on it has died.

There is one for each guest, so it imports next to nothing, and wakes up only when something has happened.  What has to
be done it does in a child, which imports all that it needs, and takes that away again.  The child is a program of its
own: a monitor outlives upgrades of pyxl and of Python, and what it imported then would be of two versions.  So
`--attend DOMID UUID NAME`, and the answer on descriptor 3, are what every version has to understand.
"""

import _signal  # type: ignore[import-not-found]  # signal itself imports enum
import fcntl
import os
import sys
import time

from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.xen import domain_log
from pyxl.xen.info import Interface
from pyxl_save_helper.events import Events

USAGE = """usage: pyxl-monitor DOMID UUID NAME
Acts on the shutdown of a guest as its config says.  Started by pyxl; see helper/README.md."""
#: Seconds after which it tries again what it could not do.
RETRY_SECONDS = 60.0
#: What the first word of a child's command line is.
ATTEND = "--attend"
#: Seconds that an operation may take from making its journal to locking it.
BEGIN_SECONDS = 1.0
_RESULT = 3
_FDS_END = 1 << 20


def main() -> None:
    """Watch a guest, and the domains that take its place when it reboots, until there is none."""
    words = sys.argv[1:]
    child = words[:1] == [ATTEND]
    try:
        number, uuid, name = words[child : child + 3]
        domid = int(number)
    except ValueError:
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    for signal in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(signal, _signal.SIG_DFL)
    os.closerange(_RESULT + child, _FDS_END)
    os.chdir("/")
    if child:
        attend_as_child(domid, uuid, name)
    try:
        watch(domid, uuid, name, Interface(), Events())
    except PyxlError as error:
        sys.exit(f"pyxl-monitor: {error}")


def watch(domid: int, uuid: str, name: str, xen: Interface, events: Events) -> None:
    """Wait for what needs to be done, and have it done, until the guest is gone."""
    log = paths.domain_log(name)
    domain_log.write(log, f'watching domain {domid} "{name}"')
    while True:
        events.arm()
        owed = is_owed(paths.journal(uuid))
        info = xen.info(domid)
        if info is None or info.dying or info.uuid != uuid:
            domain_log.write(log, f"domain {domid} is gone")
            return
        if not owed and not info.shut_down:
            events.wait(None)
            continue
        following = attend(domid, uuid, name)
        if following == 0:
            return
        if following is None:
            events.wait(RETRY_SECONDS)
        else:
            domid = following


def is_owed(journal: str) -> bool:
    """Wait until no operation on the guest is in progress, and tell whether the last one died."""
    begins = False
    while True:
        try:
            fd = os.open(journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        # For as long as it takes: without this lock nobody may act on the guest in any case.
        fcntl.flock(fd, fcntl.LOCK_SH)
        status = os.fstat(fd)
        os.close(fd)
        if not status.st_nlink:  # it is done, and another one may have begun
            continue
        if status.st_size or begins:
            return True
        begins = True
        time.sleep(BEGIN_SECONDS)


def attend(domid: int, uuid: str, name: str, program: str = "") -> int | None:
    """Do in a child what the guest needs; return the domid to watch on, 0 for none, None if the child has failed.

    ``program`` is this one, under the path that it was started by.
    """
    program = program or sys.argv[0]
    log = paths.domain_log(name)
    if not os.access(program, os.R_OK):
        domain_log.write(log, f"monitor: {program} is gone: nobody acts for domain {domid} until it is there again")
        return None
    answer, result = os.pipe()
    command = [sys.executable, "-IS", "-X", "utf8", program, ATTEND, str(domid), uuid, name]
    try:
        child = os.posix_spawn(
            sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, result, _RESULT)]
        )
    except OSError as error:
        domain_log.write(log, f"monitor: {sys.executable}: {error.strerror}")
        child = 0
    os.close(result)
    said = os.read(answer, 16)
    os.close(answer)
    if child:
        os.waitpid(child, 0)
    return int(said) if said else None


def attend_as_child(domid: int, uuid: str, name: str) -> None:
    """Do what the guest needs, and write the domid to watch on to the descriptor that the monitor reads."""
    os.set_inheritable(_RESULT, False)
    try:
        import site

        site.main()  # pyxs is Debian's
        from pyxl.cli import wiring

        os.write(_RESULT, b"%d" % wiring.attend(domid, uuid, name))
    except BaseException as error:
        domain_log.write(paths.domain_log(name), f"monitor: {type(error).__name__}: {error}")
    finally:
        os._exit(0)
