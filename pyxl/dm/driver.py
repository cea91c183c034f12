"""What both drivers of a device model share: its place in xenstore, the shape of its state, the end of its log."""

from pathlib import Path

from pyxl.errors import DeviceModelError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import Store

EMULATOR_QEMU_TRADITIONAL = 1
EMULATOR_QEMU_UPSTREAM = 2
#: Seconds for writing the device state, as libxl allows a device model to start or resume.
DEADLINE = 60.0
#: Seconds for any other answer: it comes within milliseconds, and the guest may be suspended meanwhile.
ANSWER_DEADLINE = 10.0
#: Seconds for each answer about whether it can be saved.
READY_DEADLINE = 5.0
#: A state is some 100 KiB; this is the most that pyxl holds in memory.
MAX_STATE = 256 << 20
_LOG_LINES = 3
# Under Xen qemu writes no section footers: between these two the state is opaque.
_MAGIC = b"QEVM"
_EOF = 0


class Driver:
    """One domain's device model, which runs in the domain ``dm_domid``."""

    version = ""

    def __init__(self, domain: DomainInfo, store: Store, emulator_id: int, dm_domid: int) -> None:
        self.emulator_id = emulator_id
        self._domain = domain
        self._domid = domain.domid
        self._store = store
        self._dm_domid = dm_domid
        self._root = paths.device_model(domain.domid, dm_domid)

    def xenstore_data(self) -> list[tuple[str, str]]:
        """Return the physmap keys, which qemu before 2.10 kept in xenstore and current ones do not."""
        keys = [
            f"physmap/{entry}/{field}"
            for entry in self._store.children(self._root + "/physmap")
            for field in ("start_addr", "size", "name")
        ]
        return [(key, value) for key in keys if (value := self._store.read(f"{self._root}/{key}")) is not None]

    def _checked(self, state: bytes) -> bytes:
        """Return a device state that looks whole.

        :raise DeviceModelError: no restore could start from it.
        """
        if not state:
            raise self._error("save", "it wrote no state")
        if not state.startswith(_MAGIC):
            raise self._error("save", f"what it wrote is no device state: it starts with {state[:4].hex(' ')}")
        if state[-1] != _EOF:
            raise self._error("save", f"the state that it wrote is not whole: {len(state)} bytes, without an end")
        return state

    def _error(self, command: str, detail: str) -> DeviceModelError:
        return DeviceModelError(self._domid, command, detail)

    def _last_words(self) -> str:
        """Return the end of the device model's own log, for an error."""
        name = self._store.read(paths.name(self._domid)) or ""
        try:
            lines = Path(paths.device_model_log(name)).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "; its log ends: " + " | ".join(lines[-_LOG_LINES:]) if lines else ""
