"""A process that writes beside the test, as the save-helper does beside a save."""

import os
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> None:
    """Do work in a forked process and wait for that process alone: the test run has others (the lab's among them).

    Raises AssertionError if the work raised.
    """
    if not (child := os.fork()):
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
