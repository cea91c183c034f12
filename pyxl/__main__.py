"""`python3 -m pyxl` and the `pyxl` command."""

import os
import signal
import sys


def main() -> None:
    """Run the command line and exit with its status, without Python's own farewell: it takes as long as its start."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:  # no traceback while modules come in
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pyxl.cli import run

    signal.signal(signal.SIGINT, on_interrupt)
    status = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more, or there is no room for it: what was done is done, but was not said
        status = status or 1
    os._exit(status)


if __name__ == "__main__":
    main()
