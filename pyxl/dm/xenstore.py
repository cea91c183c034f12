"""A device model that is driven over xenstore: qemu-dm's protocol (xen-spec.md 8.3; README.md of this folder).

qemu-traditional speaks it, and so does upstream qemu behind pyxl-qemu-dm.  The keys are level-triggered: what counts
is what stands in them, so that neither side has to see every change.
"""

import os
import time
from pathlib import Path

from pyxl.dm.driver import ANSWER_DEADLINE, DEADLINE, EMULATOR_QEMU_UPSTREAM, MAX_STATE, Driver
from pyxl.dm.qmp import QmpDeviceModel
from pyxl.errors import DeviceModelError
from pyxl.model import paths

RUNNING, PAUSED = "running", "paused"


class XenstoreDeviceModel(Driver):
    """The DeviceModel of pyxl.model.ports for a domain whose device model listens on xenstore."""

    _asked_to_stop = False

    def blockers(self) -> list[str]:
        """Return what prevents saving its state; upstream qemu is asked over libxl's socket, where there is one.

        A front that has died shows itself in log_dirty, before the guest is asked for anything.
        """
        state = self._store.read(self._root + "/state")
        if state not in (RUNNING, PAUSED):
            return [f'its state is "{state}"' if state else "it has not said that it is running"]
        if self.emulator_id != EMULATOR_QEMU_UPSTREAM or not Path(paths.qmp_socket(self._domid)).exists():
            return []
        return QmpDeviceModel(self._domain, self._store, self.emulator_id, self._dm_domid).blockers()

    def stop_and_save(self) -> bytes:
        """Have the device model stop and write its state to its file; read and remove that."""
        if self._store.read(self._root + "/state") == PAUSED:
            self._command("continue", RUNNING)  # a save that died left it so
        file = Path(paths.device_model_save(self._domid))
        try:
            file.unlink(missing_ok=True)  # or an old state could be taken for this one
            self._command("save", PAUSED)
            with open(file, "rb", opener=_no_link) as opened:
                size = os.fstat(opened.fileno()).st_size
                if size > MAX_STATE:
                    raise self._error("save", f"its state has {size >> 20} MiB")
                state = self._checked(opened.read())
            promised = self._store.read(self._root + "/size")
            if promised is not None and promised != str(len(state)):
                raise self._error("save", f"the state that it wrote is not whole: {len(state)} of {promised} bytes")
            return state
        except OSError as error:
            raise self._error("save", str(error)) from error
        finally:
            file.unlink(missing_ok=True)
            self._store.remove(self._root + "/size")

    def resume(self) -> None:
        if not self._asked_to_stop and self._store.read(self._root + "/state") != PAUSED:
            return
        try:
            self._command("continue", RUNNING)
        except DeviceModelError as error:
            self._resume_without_front(error)
        self._asked_to_stop = False

    def _resume_without_front(self, error: DeviceModelError) -> None:
        """Let upstream qemu go on over libxl's socket, as stock xl would, where its front has died.

        :raise DeviceModelError: that does not work either; it is ``error``.
        """
        try:
            QmpDeviceModel(self._domain, self._store, self.emulator_id, self._dm_domid).resume()
        except DeviceModelError:
            raise error from None

    def log_dirty(self, on: bool) -> None:
        """Switch log-dirty; an unfinished order of an earlier toolstack is an error, as in libxl."""
        wanted = "enable" if on else "disable"
        order, done = self._root + "/logdirty/cmd", self._root + "/logdirty/ret"

        def write_order() -> None:
            before = self._store.read(order)
            if before is not None and before != self._store.read(done):
                raise self._error("logdirty", f'an earlier "{before}" was not done')
            self._store.remove(done)
            self._store.write(order, wanted)

        with self._store.watch(self._root) as changed:
            self._forget_error()
            self._store.together(write_order)
            end = time.monotonic() + ANSWER_DEADLINE
            try:
                while self._store.read(done) != wanted:
                    self._raise_its_error(f"logdirty {wanted}")
                    left = end - time.monotonic()
                    if left <= 0:
                        said = f"not done within {ANSWER_DEADLINE:.0f} s{self._last_words()}"
                        raise self._error(f"logdirty {wanted}", said)
                    changed.wait(left)
            finally:
                self._store.remove(order)
                self._store.remove(done)

    def _command(self, word: str, wanted: str) -> None:
        """Give a command and wait until the device model says that it is ``wanted``.

        :raise DeviceModelError: it does not take the command (which is then withdrawn), does not answer, or refuses.
        """
        order, state = self._root + "/command", self._root + "/state"
        with self._store.watch(order, state, self._root + "/error") as changed:
            self._forget_error()
            before = self._store.read(state)
            self._store.write(order, word)
            begun = time.monotonic()
            taken = False
            while True:
                # Both at one moment, so that a late answer to an earlier command is not taken for this one's.
                now, order_now = self._store.together(lambda: (self._store.read(state), self._store.read(order)))
                taken = taken or order_now != word
                self._asked_to_stop = self._asked_to_stop or (taken and word == "save")
                self._raise_its_error(word)
                if now == wanted and (taken or now != before):
                    if not taken:  # it answers without taking the command: nobody will take it
                        self._store.remove(order)
                    self._asked_to_stop = word == "save"
                    return
                if now not in (before, RUNNING, PAUSED):
                    raise self._error(word, f'its state became "{now}" instead of "{wanted}"')
                end = begun + (DEADLINE if taken else ANSWER_DEADLINE)
                left = end - time.monotonic()
                if left > 0:
                    changed.wait(left)
                elif taken:
                    said = f'it took the command, but was still "{now}" after {DEADLINE:.0f} s{self._last_words()}'
                    raise self._error(word, said)
                elif self._withdrawn(order, word):
                    said = f"it did not take the command within {ANSWER_DEADLINE:.0f} s{self._last_words()}"
                    raise self._error(word, said)

    def _withdrawn(self, order: str, word: str) -> bool:
        """Withdraw a command; False when the device model took it at the last moment."""

        def withdraw() -> bool:
            there = self._store.read(order) == word
            if there:
                self._store.remove(order)
            return there

        return self._store.together(withdraw)

    def _forget_error(self) -> None:
        self._store.remove(self._root + "/error")

    def _raise_its_error(self, word: str) -> None:
        """:raise DeviceModelError: the device model has said that it could not do ``word``."""
        said = self._store.read(self._root + "/error")
        if said is not None:
            self._forget_error()
            raise self._error(word, said)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
