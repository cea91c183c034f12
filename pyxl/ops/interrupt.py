"""Ctrl-C, SIGTERM and SIGHUP: an operation is interrupted where it can be undone, and held where it cannot."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    held = 0
    asked = False


def install() -> None:
    """From now on these signals raise KeyboardInterrupt, outside of the blocks below."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, _on_signal)


def restore_defaults() -> None:
    """Give the signals back their usual meaning, in a child that works alone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _State.asked = True
    if not _State.held:
        _State.asked = False
        raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Let an interrupt wait until the block is done: it must not fall between a deed and the note that it is done."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if _State.asked and not _State.held:
        _State.asked = False
        raise KeyboardInterrupt


@contextmanager
def ignored() -> Iterator[None]:
    """Let an interrupt pass without effect: an undo that is itself undone loses guests."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
        _State.asked = False
