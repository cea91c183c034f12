"""The undo order: undoes what an operation owes when it fails, by the table of its phases."""

from collections.abc import Callable

from pyxl.checkpoint.journal import Journal
from pyxl.errors import OperationError, PyxlError
from pyxl.interrupt import ignored
from pyxl.model.phases import Owed, Phase


class StillOwed(PyxlError):
    """An undo step did what it could, and says so; the rest stays in the journal."""


class Undo:
    """The undo of one operation, run when its with block fails: what its phase owes, in Owed's order.

    The message is `save 7 "web1": PHASE: cause; what was undone`.  From ``keep`` on, each phase is noted in the
    journal, so that somebody else can undo it if this process dies.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._steps: dict[Owed, Callable[[], str | None]] = {}
        self._journal: Journal | None = None
        self.phase = Phase.PREFLIGHT

    def keep(self, journal: Journal) -> None:
        """Note phases in ``journal`` from now on, and close it with the operation."""
        self._journal = journal

    def enter(self, phase: Phase, *, durable: bool = False, **facts: str | int) -> None:
        """Enter a phase and owe its undo; ``facts`` are what the undo needs to know.

        ``durable``: what it owes survives a loss of power, so its note must too.
        """
        self.phase = phase
        self.note(phase=phase.name, **facts)
        if durable and self._journal is not None:
            self._journal.sync()

    def note(self, **facts: str | int) -> None:
        """Note more that the undo needs to know, by the names of the journal's Entry."""
        if self._journal is not None:
            self._journal.note(**facts)

    def by(self, owed: Owed, step: Callable[[], str | None]) -> None:
        """Undo ``owed`` by ``step``, which says in a few words what it did ("guest resumed"), or nothing."""
        self._steps[owed] = step

    def __enter__(self) -> "Undo":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self._end(error)
        except KeyboardInterrupt as interrupt:  # it came between a failure and its undo
            self._end(error or interrupt)

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self._close(all_is_done=True)
            return
        with ignored():
            said, all_is_done = self._run()
            self._close(all_is_done=all_is_done)
        if isinstance(error, KeyboardInterrupt):
            cause = "interrupted"
        elif isinstance(error, OSError) and error.strerror:
            # A restore's checkpoint is in its subject; of any other file the reader knows nothing.
            elsewhere = error.filename is not None and str(error.filename) not in self._subject
            cause = f"{error.filename}: {error.strerror}" if elsewhere else error.strerror
        elif (isinstance(error, PyxlError) and not error.traceback) or isinstance(error, OSError):
            cause = str(error)
        else:
            return
        hint = error.hint if isinstance(error, PyxlError) else ""
        if not all_is_done:
            hint = hint or "`pyxl recover` does what is left to do; the guest's monitor does so by itself."
        where = f"{self._subject}: {self.phase.text}: {cause}"
        raise OperationError("; ".join([where, *([", ".join(said)] if said else [])]), hint) from error

    def _run(self) -> tuple[list[str], bool]:
        """Undo what the phase owes; return what to report, and whether all of it was done."""
        said: list[str] = []
        all_is_done = True
        for owed in self.phase.owes:
            if owed not in self._steps:  # its phase failed before there was anything to undo, or there is no undo
                all_is_done = all_is_done and owed is not Owed.END
                continue
            try:
                done = self._steps[owed]()
            except (PyxlError, OSError) as failure:
                done = str(failure) if isinstance(failure, StillOwed) else f"but not undone: {failure}"
                all_is_done = False
            if done:
                said.append(done)
        return said, all_is_done

    def _close(self, *, all_is_done: bool) -> None:
        """Release the guest; what is still owed stays in the journal, for `pyxl recover`."""
        if self._journal is not None:
            if all_is_done:
                self._journal.close()
            else:
                self._journal.leave()
