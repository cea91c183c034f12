"""`python3 -m pyxl` and the `pyxl` command."""

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


def main() -> None:
    """Run the command line and exit with its status, without Python's own clean-up: it takes as long as its start."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:  # no traceback while modules are imported
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    have_standard_streams()
    from pyxl.cli import run

    signal.signal(signal.SIGINT, on_interrupt)
    status = run()
    try:
        sys.stdout.flush()
    except OSError:  # the reader has gone, or the disk is full: the work is done, but its report was lost
        status = status or 1
    os._exit(status)


if __name__ == "__main__":
    main()
