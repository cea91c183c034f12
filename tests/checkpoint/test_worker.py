"""A blocking call in a thread of its own."""

import signal
import threading

import pytest

from pyxl.checkpoint.worker import Worker


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def test_work_goes_on_when_a_signal_interrupts_who_waits_for_it() -> None:
    go_on = threading.Event()
    worker = Worker(go_on.wait)
    before = signal.signal(signal.SIGALRM, interrupt)
    worker.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            worker.wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert worker.running
    go_on.set()
    assert worker.result()
    assert not worker.running


def test_an_error_is_the_owner_s_and_noted_before_anybody_is_told() -> None:
    told: list[bool] = []

    def fail() -> None:
        raise OSError("no")

    worker: Worker[None] = Worker(fail, lambda: told.append(worker.running))
    worker.check()
    worker.start()
    with pytest.raises(OSError, match="no"):
        worker.result()
    assert told == [True]


def test_work_that_never_began_has_ended() -> None:
    worker = Worker(lambda: None)
    worker.wait()
    assert not worker.running
    worker.check()
