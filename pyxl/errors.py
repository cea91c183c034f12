"""Every error that pyxl raises on purpose, named by what it means to the caller.

    PyxlError                exit status 1, as xl save and xl restore
     +- UsageError           bad arguments or config: path, line, column (exit status 2)
     +- StreamError          the file is bad: offset, record
     |   +- TruncatedStream  it ends too early
     |   +- BadHeader        a magic, byte order or version that no checkpoint has
     |   +- BadRecord        a record that cannot be
     |   +- UnsupportedStream  well formed, but more than this pyxl knows
     +- XenError             a hypercall or library call failed: function, errno, domid
     +- StoreError           xenstore: path, errno
     |   +- StoreTimeout     xenstored did not answer before the deadline
     +- DeviceModelError     the device model refused or died: domid, command
     |   +- DeviceModelTimeout  it lives, but did not answer before the deadline
     +- GuestError           the guest did not acknowledge suspend, or crashed while suspending
     +- HelperError          the save-helper died or broke its protocol
     +- OperationError       a save, restore or create failed: what was undone, what to do next
     +- LabError             the lab cannot do what was asked
     |   +- LabLost          the emulator or its guest died: retry, it says nothing about pyxl (exit status 75)
     +- Bug                  pyxl asked or wrote something impossible: shown with its traceback

Knows no other module: every floor, the save-helper too, imports it, so it imports next to nothing.
"""

import os


class PyxlError(Exception):
    """Anything that pyxl reports as one line instead of a traceback.

    ``hint`` says what the user can do next, on a line of its own; empty when there is nothing to do.
    """

    exit_status = 1
    traceback = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(PyxlError):
    """Bad arguments or a bad config file; nothing was done."""

    exit_status = 2


class StreamError(PyxlError):
    """The file is bad at byte ``offset`` from its start; ``what`` says what is wrong, without the place."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(f"{message} (at byte {offset})", hint)
        self.what = message
        self.offset = offset


class TruncatedStream(StreamError):
    """The file ends before the bytes that it promised."""


class BadHeader(StreamError):
    """A magic number, byte order or version that no checkpoint has."""


class BadRecord(StreamError):
    """A record whose type or length cannot be."""


class UnsupportedStream(StreamError):
    """Well formed, but with something mandatory that this pyxl does not know."""


class XenError(PyxlError):
    """A hypercall or a call into one of Xen's libraries failed.

    ``errnum`` is the errno left by the call, 0 where the library reports none.
    """

    def __init__(self, function: str, errnum: int = 0, domid: int | None = None, detail: str = "") -> None:
        domain = "" if domid is None else f" for domain {domid}"
        reason = detail or (os.strerror(errnum) if errnum else "failed")
        super().__init__(f"{function}{domain}: {reason}")
        self.function = function
        self.errnum = errnum
        self.domid = domid


class StoreError(PyxlError):
    """A xenstore request on ``path`` failed with ``errnum``."""

    def __init__(self, path: str, errnum: int = 0, detail: str = "") -> None:
        super().__init__(f"xenstore {path}: {detail or os.strerror(errnum)}")
        self.path = path
        self.errnum = errnum


class StoreTimeout(StoreError):
    """xenstored did not answer before the deadline."""


class DeviceModelError(PyxlError):
    """The device model of ``domid`` refused a command, or died."""

    def __init__(self, domid: int, command: str, detail: str) -> None:
        super().__init__(f"device model of domain {domid}: {command}: {detail}")
        self.domid = domid
        self.command = command


class DeviceModelTimeout(DeviceModelError):
    """The device model is there, but did not answer before the deadline; it may still do what it was asked."""


class GuestError(PyxlError):
    """The guest did not acknowledge a suspend request, or did not suspend."""


class HelperError(PyxlError):
    """The save-helper died, reported a failure, or broke its protocol."""


class OperationError(PyxlError):
    """A save, restore or create failed; the message names domain, step and what was undone."""


class LabError(PyxlError):
    """The lab cannot do what was asked."""


class LabLost(LabError):
    """The lab's emulator or guest died: retry, it is neither a pass nor a failure."""

    exit_status = 75


class Bug(PyxlError):
    """pyxl wrote or asked something impossible."""

    exit_status = 70
    traceback = True
