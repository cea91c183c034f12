"""`python3 -m pyxl` and the `pyxl` command."""

import os
import signal
import sys


def main() -> None:
    """Run the command line and exit with its status, without Python's own clean-up: it takes as long as its start."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:  # no traceback while modules are imported
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pyxl.cli import run

    signal.signal(signal.SIGINT, on_interrupt)
    status = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader has gone, or the disk is full: the work is done, but its report was lost
        status = status or 1
    os._exit(status)


if __name__ == "__main__":
    main()
