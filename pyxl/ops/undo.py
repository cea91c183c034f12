"""The undo order: what is owed when an operation fails, from the moment that it is owed."""

from collections.abc import Callable

from pyxl.errors import OperationError, PyxlError
from pyxl.ops.interrupt import ignored


class Undo:
    """Undo steps, run last one first when the with block fails.

    ``step`` is what the operation is doing, for the message: `save 7 "web1": STEP: cause; what was undone`.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._owed: list[Callable[[], str | None]] = []
        self.step = ""

    def owe(self, undo: Callable[[], str | None]) -> None:
        """Owe ``undo``, which says in a few words what it did ("guest resumed"), or nothing."""
        self._owed.append(undo)

    def settled(self) -> None:
        """Owe nothing more: the operation has come too far to be undone, and need not be."""
        self._owed.clear()

    def __enter__(self) -> "Undo":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._owed.clear()
            return
        done: list[str] = []
        with ignored():
            while self._owed:
                try:
                    said = self._owed.pop()()
                except (PyxlError, OSError) as failure:
                    said = f"but not undone: {failure}"
                if said:
                    done.append(said)
        if isinstance(error, KeyboardInterrupt):
            cause = "interrupted"
        elif (isinstance(error, PyxlError) and not error.traceback) or isinstance(error, OSError):
            cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        else:
            return
        where = f"{self._subject}: {self.step}: {cause}" if self.step else f"{self._subject}: {cause}"
        hint = error.hint if isinstance(error, PyxlError) else ""
        raise OperationError("; ".join([where, *done]), hint) from error
