"""Whose a file is: what others can write into it, they can have root believe."""

import os
import stat


def is_roots_alone(status: os.stat_result) -> bool:
    """Tell of a file whether it is root's, and nobody else may write to it."""
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISREG(status.st_mode) and not status.st_uid and not status.st_mode & others
