"""The device model of a domain: which one it has, and how to reach it."""

from pyxl.dm.driver import EMULATOR_QEMU_TRADITIONAL, EMULATOR_QEMU_UPSTREAM
from pyxl.dm.qmp import QmpDeviceModel
from pyxl.dm.xenstore import XenstoreDeviceModel
from pyxl.errors import DeviceModelError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import DeviceModel, Store

#: libxl's names; a domain whose device model has none in xenstore has the traditional one.
UPSTREAM, TRADITIONAL = "qemu_xen", "qemu_xen_traditional"


def open_dm(domain: DomainInfo, store: Store) -> DeviceModel | None:
    """Return the device model of ``domain``, None for a guest that has none to save (PV, PVH).

    Upstream qemu is driven over QMP, unless it has announced that it listens on xenstore.

    :raise DeviceModelError: it has one that pyxl cannot drive.
    """
    if store.read(paths.domain_type(domain.domid)) != "hvm":
        return None
    dm_domid = int(store.read(paths.device_model_domid(domain.domid)) or store.read(paths.OWN_DOMID) or 0)
    version = store.read(paths.device_model_version(domain.domid)) or TRADITIONAL
    if version == TRADITIONAL:
        return XenstoreDeviceModel(domain, store, EMULATOR_QEMU_TRADITIONAL, dm_domid)
    if version != UPSTREAM:
        raise DeviceModelError(domain.domid, "open", f"a device model called {version} is not known")
    control = store.read(paths.device_model_control(domain.domid, dm_domid))
    if control is None:
        return QmpDeviceModel(domain, store, EMULATOR_QEMU_UPSTREAM, dm_domid)
    if control == paths.CONTROL_XENSTORE:
        return XenstoreDeviceModel(domain, store, EMULATOR_QEMU_UPSTREAM, dm_domid)
    raise DeviceModelError(domain.domid, "open", f'it announces a way to drive it that is not known: "{control}"')
