"""Many operations side by side: each step is a pyxl of its own, as if somebody typed it, with its own undo and log.

A child that is stopped, by a limit or an interrupt of this process, undoes what it has begun like any other.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import IO, NamedTuple

from pyxl.errors import PyxlError
from pyxl.interrupt import held, pass_on

#: Why all were stopped, in the words of the report.
INTERRUPTED, TIME_IS_UP = "interrupted", "the time for all is up"
_LOOK_SECONDS = 0.05
#: This pyxl, whatever lies in the working directory.
PYXL = (sys.executable, "-P", "-m", "pyxl")


class Call(NamedTuple):
    """A pyxl to run: its words, how many seconds it may take (None: as many as it needs), and what it reads."""

    words: list[str]
    seconds: float | None = None
    stdin: str = ""


class Ended(NamedTuple):
    """How a child ended: its exit status, what it printed, its last error, and why it was stopped, if it was."""

    status: int
    out: str = ""
    error: str = ""
    stopped: str = ""

    @property
    def why(self) -> str:
        """Why it failed."""
        return ": ".join(filter(None, (self.stopped, self.error)))


#: A job: it yields what is to be run, is sent how that ended, and notes by itself what came of it.
Steps = Generator[Call, Ended, None]


class Job(NamedTuple):
    """Steps for one guest; ``failed`` is told what they raised; those that ``only_waits`` take nobody's place."""

    guest: str
    steps: Steps
    failed: Callable[[str], None]
    only_waits: bool = False


def run(
    jobs: Iterable[Job], at_once: int, end: float | None = None,
    may_begin: Callable[[str, list[str]], bool] = lambda guest, running: True,
) -> str:  # fmt: skip
    """Run jobs in their order, up to ``at_once`` side by side; return why not all were, "" where they were.

    ``end`` is when all are stopped, by time.monotonic(); ``may_begin`` tells of a guest, and of those at work, whether
    its turn has come; one alone is not asked for.
    """
    waiting, running, stopped = deque(jobs), list[_Child](), ""
    with held():
        while waiting or running:
            while waiting and not stopped:
                busy = [child.job.guest for child in running if not child.job.only_waits]
                job = waiting[0]
                if not job.only_waits and busy and (len(busy) >= at_once or not may_begin(job.guest, busy)):
                    break
                _go_on(waiting.popleft(), None, running, stopped)
            if stopped and not running:
                break
            if not stopped and (stopped := _asked_to_stop(end)):
                for child in running:
                    child.stop(stopped)
            for child in list(running):
                if ended := child.ended():
                    running.remove(child)
                    _go_on(child.job, ended, running, stopped)
            time.sleep(_LOOK_SECONDS if running else 0)
    return stopped


def _go_on(job: Job, ended: Ended | None, running: "list[_Child]", stopped: str) -> None:
    """Start the next step of a job, if it has one; none is begun once all are stopped."""
    while True:
        try:
            call = next(job.steps) if ended is None else job.steps.send(ended)
            if not stopped:
                running.append(_Child(job, call))
                return
        except StopIteration:
            return
        except (PyxlError, OSError, ValueError) as error:  # the others go on
            job.failed(str(error))
            return
        ended = Ended(1, stopped=stopped)


def _asked_to_stop(end: float | None) -> str:
    try:
        pass_on()
    except KeyboardInterrupt:
        return INTERRUPTED
    return TIME_IS_UP if end is not None and time.monotonic() > end else ""


class _Child:
    """A pyxl that runs; what it prints goes to files, which have room for all of it."""

    def __init__(self, job: Job, call: Call) -> None:
        self.job = job
        self._out, self._error = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._stopped = ""
        self._seconds = call.seconds
        self._end = None if call.seconds is None else time.monotonic() + call.seconds
        with tempfile.TemporaryFile() as stdin:
            stdin.write(call.stdin.encode())
            stdin.seek(0)
            # A session of its own: Ctrl-C reaches this process alone, which decides.
            self._process = subprocess.Popen(
                [*PYXL, *call.words], stdin=stdin, stdout=self._out, stderr=self._error, start_new_session=True
            )

    def stop(self, why: str) -> None:
        """Have it undo what it has begun; once is enough."""
        if not self._stopped:
            self._stopped = why
            self._process.send_signal(signal.SIGTERM)

    def ended(self) -> Ended | None:
        """Return how it ended, None while it runs."""
        if (status := self._process.poll()) is None:
            if self._end is not None and time.monotonic() > self._end:
                self.stop(f"it took longer than {self._seconds:.0f} s")
            return None
        error = _last_error(_text(self._error))
        if status < 0:
            error = f"its pyxl was killed (signal {-status})"
        return Ended(status, _text(self._out), error, self._stopped if status else "")


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


def _last_error(text: str) -> str:
    """Return what the last `pyxl: …` of a standard error says, with its hint behind it, on one line."""
    said = text.rstrip("\n").rpartition("\npyxl: ")[2].removeprefix("pyxl: ")
    return ". ".join(line.strip().rstrip(".") for line in said.splitlines() if line.strip())
