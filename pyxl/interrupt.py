"""Ctrl-C, SIGTERM and SIGHUP: an operation is interrupted once, where it can be undone, and held where it cannot."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    held = 0
    asked = False
    raised = False


def install() -> None:
    """Have the first of these signals raise KeyboardInterrupt, outside of the blocks below.

    Later ones do nothing: by then the undo is under way, and an undo that is itself interrupted loses guests.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, _on_signal)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _State.asked = True
    if not _State.held:
        _raise()


def _raise() -> None:
    if _State.asked and not _State.raised:
        _State.raised = True
        raise KeyboardInterrupt


def pass_on() -> None:
    """Raise an interrupt that is held: for a wait that leaves nothing half done, within a block that holds it."""
    _raise()


def last_chance() -> None:
    """Raise an interrupt that was held; a later one comes too late and does nothing."""
    _raise()
    _State.raised = True


@contextmanager
def held() -> Iterator[None]:
    """Hold an interrupt until the block is done: it must not fall between a step and the note that it is done."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if not _State.held:
        _raise()


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore an interrupt within the block: an undo that is itself interrupted loses guests."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
        _State.asked = False
