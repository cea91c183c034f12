"""`python3 -P -m pyxl` and the `pyxl` command."""

import io
import os
import signal
import sys


def have_standard_streams() -> None:
    """Put the null device in the place of each standard stream that is closed.

    Else the next file that is opened gets its number, and takes what was to be said there into a checkpoint.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)


def have_utf8() -> None:
    """Start again where Python would take names and files for ASCII or Latin-1: Xen's are bytes, by custom UTF-8."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if stream.encoding != "utf-8" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def have_no_warnings() -> None:
    """Keep Python's warnings, which are for developers, from ending a save (PYTHONWARNINGS=error)."""
    if sys.warnoptions:
        import warnings

        warnings.resetwarnings()
        warnings.simplefilter("ignore")


def main() -> None:
    """Run the command line and exit with its status, without Python's own clean-up: it takes as long as its start."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:  # no traceback while modules are imported
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    have_standard_streams()
    have_utf8()
    have_no_warnings()
    from pyxl.cli.app import run

    signal.signal(signal.SIGINT, on_interrupt)
    status = run()
    try:
        sys.stdout.flush()
    except OSError:  # the reader has gone, or the disk is full: the work is done, but its report was lost
        status = status or 1
    os._exit(status)


if __name__ == "__main__":
    main()
