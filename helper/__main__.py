"""pyxl-save-helper: arguments, signals, and one call into libxenguest.

A drop-in for libxl's helper: same arguments, same messages (xen-spec.md 5.1; helper/README.md).
Imports little: libxl waits for this process to start in every save and restore.
"""

import _signal  # type: ignore[import-not-found]  # signal itself imports enum, for names that are not needed here
import _socket
import _thread
import ctypes
import os
import sys

from pyxl.errors import PyxlError
from pyxl.xen import guest
from pyxl_save_helper import callbacks, confine

FATAL = 255  # exit status before libxc could be asked, as the stock helper's
ERROR = 8  # log level
#: The first word of ENGINE that asks for the memory engine.
DIRECT = "direct"
#: The words of ENGINE that say where the frames of a restore are: a file, or a plan and packs.
FILES = ("frames", "plan")
_FD_BYTES, _WORDS_BYTES = 4, 256
#: Set by pyxl, which sees progress in the stream fd's offset and needs no messages for it.
QUIET = "PYXL_SAVE_HELPER_QUIET"
#: Set by pyxl: which engine is to move the memory, and how, as words (direct.py); libxc where it is not set.
ENGINE = "PYXL_SAVE_HELPER_ENGINE"
#: Set by pyxl, which starts the helper before it has opened the stream, and hands it over on standard input.
LATER = "PYXL_SAVE_HELPER_LATER"
USAGE = """usage: pyxl-save-helper --save-domain IO_FD RECV_FD DOMID XCFLAGS CBFLAGS STREAM_TYPE
       pyxl-save-helper --restore-domain IO_FD SEND_BACK_FD DOMID STORE_PORT STORE_DOMID CONSOLE_PORT \
CONSOLE_DOMID CBFLAGS STREAM_TYPE
Started by pyxl, or by libxl where LIBXL_SAVE_HELPER names it; see helper/README.md."""


def main() -> None:
    """Run one save or restore and exit; the outcome itself travels in the `complete` message."""
    try:
        mode, numbers = sys.argv[1], [int(word) for word in sys.argv[2:]]
        expected = {"--save-domain": 6, "--restore-domain": 9}[mode]
        if len(numbers) != expected:
            raise ValueError(f"{mode} takes {expected} numbers")
    except (IndexError, KeyError, ValueError):
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    # A Ctrl-C goes to the whole foreground group; the toolstack decides what it means.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    confine.keep_only(numbers[0], numbers[1])
    open_frames()
    if not confine.end_with_parent():
        sys.exit(callbacks.TOOLSTACK_GONE)
    toolstack = callbacks.Toolstack(out_fd=1, in_fd=0)
    log = callbacks.logger(toolstack, with_progress=QUIET not in os.environ)
    try:
        library = guest.GuestLibrary(log)
        if LATER in os.environ:
            if has_direct(library, numbers[2]):
                from pyxl_save_helper import direct  # noqa: F401  (it loads while the toolstack is not ready)
            os.environ[ENGINE] = take_stream(numbers)
        confine.limit(library.host_pages())
    except (PyxlError, OSError) as error:
        toolstack.send("log", ERROR, -1, "pyxl-save-helper", str(error))
        sys.exit(FATAL)
    if mode == "--save-domain":
        result = save(library, toolstack, *numbers)
    else:
        result = restore(library, toolstack, *numbers)
    toolstack.send("complete", result, ctypes.get_errno() if result else 0)
    # The interpreter's own exit takes as long as its start, and there is nothing left to flush.
    os._exit(0)


def open_frames() -> None:
    """Open the files of a restore while this process may: paths of the toolstack's become descriptors of ours.

    They are of one directory, as in ``frames=/proc/4711/fd/7`` and ``plan=/proc/4711/fd/7,8,9``.
    """
    words = os.environ.get(ENGINE, "").split()
    for number, word in enumerate(words):
        name, _, path = word.partition("=")
        if name in FILES:
            directory, _, files = path.rpartition("/")
            fds = [os.open(f"{directory}/{file}", os.O_RDONLY | os.O_CLOEXEC) for file in files.split(",")]
            words[number] = f"{name}={','.join(map(str, fds))}"
            os.environ[ENGINE] = " ".join(words)


def take_stream(numbers: list[int]) -> str:
    """Wait for the stream, and return the words for the engine that come with it.

    It takes the place of IO_FD; a table of frames may come as a second descriptor, and becomes RECV_FD; the state of a
    sink of packs as a third, which gets a word.

    Ends the process where the toolstack has come to want no stream.
    """
    toolstack = _socket.socket(fileno=0)
    words, passed, _, _ = toolstack.recvmsg(_WORDS_BYTES, _socket.CMSG_SPACE(3 * _FD_BYTES))
    toolstack.detach()
    if not passed:
        sys.exit(callbacks.TOOLSTACK_GONE)
    data = passed[0][2]
    fd, *others = (int.from_bytes(data[at : at + _FD_BYTES], sys.byteorder) for at in range(0, len(data), _FD_BYTES))
    os.dup2(fd, numbers[0])
    os.close(fd)
    numbers[1:2] = others[:1] or numbers[1:2]
    return words.decode().strip() + "".join(f" state={state}" for state in others[1:])


def save(
    library: guest.GuestLibrary, toolstack: callbacks.Toolstack,
    io_fd: int, recv_fd: int, domid: int, xc_flags: int, cb_flags: int, stream_type: int,
) -> int:  # fmt: skip
    """Stream ``domid`` to ``io_fd`` and return libxc's result; on SIGTERM libxc cleans up and returns."""
    cut_stream_on_sigterm(io_fd)
    if has_direct(library, domid):
        from pyxl_save_helper import direct

        return direct.save(library.handle, toolstack, io_fd, recv_fd, domid, os.environ[ENGINE].split())
    calls = callbacks.for_save(toolstack, cb_flags)
    words = os.environ.get(ENGINE, "").split()
    if "live" in words:
        from pyxl_save_helper import live

        policy = live.precopy_policy(toolstack, live.policy(words))
        calls.precopy_policy = ctypes.cast(policy, ctypes.c_void_p)
        xc_flags |= guest.LIVE
    return library.save(io_fd, domid, xc_flags, calls, stream_type, recv_fd)


def restore(
    library: guest.GuestLibrary, toolstack: callbacks.Toolstack,
    io_fd: int, back_fd: int, domid: int, store_port: int, store_domid: int,
    console_port: int, console_domid: int, cb_flags: int, stream_type: int,
) -> int:  # fmt: skip
    """Fill ``domid`` from ``io_fd``, tell the toolstack the gfns of its rings, and return libxc's result."""
    store, console = (store_port, store_domid), (console_port, console_domid)
    if has_direct(library, domid):
        from pyxl_save_helper import direct

        result, store_gfn, console_gfn = direct.restore(
            library.handle, toolstack, cb_flags, io_fd, domid, store, console, os.environ[ENGINE].split()
        )
    else:
        calls = callbacks.for_restore(toolstack, cb_flags)
        result, store_gfn, console_gfn = library.restore(io_fd, domid, store, console, calls, stream_type, back_fd)
    if result == 0:
        toolstack.send("restore_results", store_gfn, console_gfn)
    return result


def has_direct(library: guest.GuestLibrary, domid: int) -> bool:
    """Tell whether the memory engine is asked for, and can be had for a domain of this kind."""
    return os.environ.get(ENGINE, "").startswith(DIRECT) and library.is_hvm(domid)


def cut_stream_on_sigterm(io_fd: int) -> None:
    """On SIGTERM let libxc's next write fail, so that it turns log-dirty off and returns by itself.

    Python's own handlers wait for the call into libxc to end; a thread woken through the wake-up fd does not.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    _signal.set_wakeup_fd(wake)
    _signal.signal(_signal.SIGTERM, lambda *_: None)

    def cut() -> None:
        os.read(woken, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), io_fd)

    _thread.start_new_thread(cut, ())


if __name__ == "__main__":
    main()
