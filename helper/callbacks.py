"""libxc's callbacks as messages to the toolstack, and the toolstack's replies as their results.

Spec: xen-spec.md 5.  One request, one reply: libxc is single-threaded and so is this.
"""

import ctypes
import os

from pyxl.formats.helper_messages import NUMBER, REPLY, WAITS, Value, encode
from pyxl.xen import guest, lib

TOOLSTACK_GONE = 254  # exit status, as the stock helper's
DETAIL = 3  # the least serious level that libxc's log passes on, as the stock helper's


class Toolstack:
    """The two pipes to the process that started this one."""

    def __init__(self, out_fd: int, in_fd: int) -> None:
        self._out = out_fd
        self._in = in_fd

    def send(self, name: str, *values: Value) -> int:
        """Send a message and return the toolstack's reply, 0 for messages that have none.

        Ends the process when the toolstack has gone: nobody is left to report to.
        """
        try:
            os.write(self._out, encode(name, *values))
            if name not in WAITS:
                return 0
            reply = b""
            while len(reply) < REPLY.size:
                got = os.read(self._in, REPLY.size - len(reply))
                if not got:
                    os._exit(TOOLSTACK_GONE)
                reply += got
        except OSError:
            os._exit(TOOLSTACK_GONE)
        return int(REPLY.unpack(reply)[0])


def logger(toolstack: Toolstack, with_progress: bool) -> guest.Logger:
    """Return a libxc logger whose lines go to the toolstack; the caller keeps it alive.

    A va_list reaches a function as a pointer on x86-64 and arm64, so vsnprintf can be called with it.
    """
    libc = ctypes.CDLL(None)
    vsnprintf = lib.declare(
        libc, ctypes.c_int, "vsnprintf", ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p
    )
    text = ctypes.create_string_buffer(4096)
    shown = [-1]

    def vmessage(_: int, level: int, errnum: int, context: bytes | None, form: bytes, arguments: int) -> None:
        if level < DETAIL:
            return
        vsnprintf(text, len(text), form, arguments)
        toolstack.send("log", level, errnum, (context or b"").decode(), text.value.decode("utf-8", "replace"))

    def progress(_: int, context: bytes | None, doing: bytes | None, percent: int, done: int, total: int) -> None:
        # libxc reports every batch of 1024 pages; a message for each would cost more than it tells.
        if percent == shown[0] and done not in (0, total):
            return
        shown[0] = percent
        toolstack.send("progress", (context or b"").decode(), (doing or b"").decode(), done, total)

    return guest.Logger(lib.VMESSAGE(vmessage), lib.PROGRESS(progress) if with_progress else lib.PROGRESS())


def _plain(toolstack: Toolstack, name: str, flags: int) -> "ctypes._FuncPointer":
    """Return the callback ``name`` without arguments, or a null pointer where the toolstack did not announce it."""
    if not flags & 1 << NUMBER[name]:
        return guest.CALLBACK()
    return guest.CALLBACK(lambda _: toolstack.send(name))


def for_save(toolstack: Toolstack, flags: int) -> guest.SaveCallbacks:
    """Return libxc's save callbacks, those set in the CBFLAGS word ``flags``."""
    return guest.SaveCallbacks(
        suspend=_plain(toolstack, "suspend", flags),
        postcopy=_plain(toolstack, "postcopy", flags),
        checkpoint=_plain(toolstack, "checkpoint", flags),
        wait_checkpoint=_plain(toolstack, "wait_checkpoint", flags),
        switch_qemu_logdirty=guest.LOGDIRTY(
            lambda domid, enable, _: toolstack.send("switch_qemu_logdirty", domid, enable)
        ),
    )


def for_restore(toolstack: Toolstack, flags: int) -> guest.RestoreCallbacks:
    """Return libxc's restore callbacks, those set in the CBFLAGS word ``flags``."""
    announced = flags & 1 << NUMBER["static_data_done"]
    return guest.RestoreCallbacks(
        static_data_done=guest.STATIC_DATA(lambda missing, _: toolstack.send("static_data_done", missing))
        if announced
        else guest.STATIC_DATA(),
        suspend=_plain(toolstack, "suspend", flags),
        postcopy=_plain(toolstack, "postcopy", flags),
        checkpoint=_plain(toolstack, "checkpoint", flags),
        wait_checkpoint=_plain(toolstack, "wait_checkpoint", flags),
    )


