"""Signals: the first interrupts if there is an undo; the second does not interrupt that."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pyxl import interrupt
from pyxl.checkpoint.undo import Undo
from pyxl.checkpoint.worker import Worker
from pyxl.errors import OperationError, PyxlError
from pyxl.model.phases import Owed, Phase


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
    for number in interrupt.SIGNALS:  # the parent may ignore some, as nohup does
        signal.signal(number, signal.SIG_DFL)
    monkeypatch.setattr(interrupt, "_State", type("_State", (), {"held": 0, "asked": False, "raised": False}))
    interrupt.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_the_first_signal_interrupts_and_the_second_does_not(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        send(number)
    send(number)


def test_a_signal_that_is_held_interrupts_at_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt.held():
        send(signal.SIGINT)
        done.append("deed and note")
    assert done == ["deed and note"]


def test_the_last_chance_takes_a_held_signal_and_none_after_it() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.held():
        send(signal.SIGTERM)
        interrupt.last_chance()
    send(signal.SIGTERM)


def test_after_the_last_chance_a_signal_comes_too_late() -> None:
    interrupt.last_chance()
    send(signal.SIGTERM)


@pytest.mark.parametrize("fails", [False, True])
def test_an_undo_is_not_interrupted(fails: bool) -> None:
    """Whether a signal or a failure began it."""
    done = []

    def resume() -> str:
        send(signal.SIGINT)
        done.append("resumed")
        return "guest resumed"

    with pytest.raises(OperationError, match=f"memory: {'broken' if fails else 'interrupted'}; guest resumed$"), Undo("x") as undo:
        undo.by(Owed.GUEST, resume)
        undo.enter(Phase.MEMORY)
        if fails:
            raise PyxlError("broken")
        send(signal.SIGINT)
    assert done == ["resumed"]
    if fails:  # the signal did not count: the next operation can still be interrupted
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize("moment", ["__init__", "start"])
def test_a_signal_that_falls_into_a_worker_s_start_comes_after_it(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Else the undo would wait forever for a thread that never started."""
    original = getattr(threading.Thread, moment)

    def struck(*arguments: object, **named: object) -> None:
        send(signal.SIGINT)
        original(*arguments, **named)

    monkeypatch.setattr(threading.Thread, moment, struck)
    done: list[bool] = []
    worker = Worker(lambda: done.append(True))
    with pytest.raises(KeyboardInterrupt):
        worker.start()
    worker.wait(5)
    assert not worker.running
    assert done == [True]
