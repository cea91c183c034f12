"""The guest of a save: suspends it with its device model, and lets it go on afterwards or after a failure."""

import time
from collections.abc import Callable
from contextlib import suppress

from pyxl.checkpoint.undo import StillOwed, Undo
from pyxl.errors import DeviceModelError, DeviceModelTimeout, GuestError, StoreError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import libxl_v2
from pyxl.model.phases import After, Phase
from pyxl.model.ports import DeviceModel, Hypervisor, Store
from pyxl.model.report import Report
from pyxl.ops.destroy import bring_down
from pyxl.ops.suspend import call_off, resume, suspend


class SavedGuest:
    """A guest from the request to suspend to the end of its save.

    ``config`` is what it runs with.  ``asked_at`` is the time of the request, ``goes_on_at`` that from which on it runs
    again, both 0 before; ``may_have_kb`` is the memory in KiB that the config in the file allows, 0 for any.
    """

    def __init__(
        self, xen: Hypervisor, store: Store, device_model: DeviceModel | None, domid: int, config: GuestConfig
    ) -> None:
        self._config = config
        self._xen = xen
        self._store = store
        self._device_model = device_model
        self._domid = domid
        self._device_state = b""
        self._given_up = False
        self.asked_at = self.goes_on_at = 0.0
        self.may_have_kb = 0

    def suspend(self, undo: Undo, report: Report) -> None:
        """Suspend it, then stop its device model and take its state: from here on its memory does not change.

        :raise GuestError: it does not suspend, or got more memory meanwhile than a restore would give it.
        :raise DeviceModelError: the device model does not stop.
        """
        undo.enter(Phase.SUSPEND)
        report.step("suspending the guest")
        self.asked_at = time.monotonic()
        try:
            suspend(self._xen, self._store, self._domid)
        except GuestError as error:
            from pyxl.ops.console import last_words  # only a guest that fails has any

            self._given_up = True
            error.hint = "\n".join(filter(None, (error.hint, last_words(self._config))))
            raise
        domain = self._xen.domain(self._domid)
        if domain is not None and 0 < self.may_have_kb < domain.memory_kb:
            raise GuestError(
                f"the guest got more memory while it was being saved ({domain.memory_kb >> 10} MiB) than its file says",
                "Save it once more.",
            )
        undo.enter(Phase.DEVICE_MODEL)
        if self._device_model is not None:
            self._device_state = self._device_model.stop_and_save()

    def device_model_records(self) -> bytes:
        """Return the libxl records of its device model, as libxl orders them; none where it has none."""
        if self._device_model is None:
            return b""
        number, keys = self._device_model.emulator_id, self._device_model.xenstore_data()
        before = libxl_v2.emulator_xenstore_data(number, keys) if keys else b""
        return before + libxl_v2.emulator_context(number, self._device_state)

    def log_dirty(self, on: bool) -> None:
        """Have the device model log its writes, as Xen logs those of the guest, or stop it.

        :raise DeviceModelError: it does not.
        """
        if self._device_model is not None:
            self._device_model.log_dirty(on)

    def log_dirty_off(self) -> None:
        """Have Xen and the device model log no writes any more, whoever has begun with it.

        :raise PyxlError: one of them still does.
        """
        domain = self._xen.domain(self._domid)
        if domain is None or domain.dying:
            return
        self._xen.log_dirty_off(self._domid)
        self.log_dirty(False)

    def go_on(self) -> None:
        """Let it run again; harmless when done twice."""
        if not self.goes_on_at:
            resume(self._xen, self._store, self._device_model, self._domid)
            self.goes_on_at = time.monotonic()

    def settle(self, after: After, say: Callable[[str], None]) -> None:
        """Leave the domain as the user wants it; like xl, pause before the resume, so that it runs no instruction."""
        if after is After.DESTROY:
            bring_down(self._xen, self._store, self._domid, say)
            return
        domain = self._xen.domain(self._domid)
        if after is After.PAUSE and domain is not None and not domain.paused:  # each pause wants an unpause of its own
            self._xen.pause(self._domid)
        self.go_on()

    def resume_after_failure(self) -> str:
        """Withdraw a request that still stands, resume the guest if it is suspended, and say how it is."""
        domain = self._xen.domain(self._domid)
        taken = False
        if self.asked_at and not self.goes_on_at and domain is not None:
            with suppress(GuestError):
                taken = not call_off(self._xen, self._store, self._domid)
            domain = self._xen.domain(self._domid)
        if domain is None or domain.dying:
            return "the domain is gone"
        if domain.suspended:
            try:
                resume(self._xen, self._store, self._device_model, self._domid)
            except (DeviceModelTimeout, StoreError) as error:
                raise StillOwed(f"guest resumed, but {error}") from error
            except DeviceModelError as error:
                return f"guest resumed, but {error}"
            return "guest resumed"
        if domain.shutdown_reason is not None:
            return "the guest has shut down"
        may_suspend = taken and not self._given_up
        return "guest still running" + (", but it took the request and may yet suspend" if may_suspend else "")
