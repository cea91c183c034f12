"""The device model of a domain: which one it has, and how to reach it."""

from pyxl.dm.qmp import QmpDeviceModel
from pyxl.errors import DeviceModelError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo
from pyxl.model.ports import DeviceModel, Store

UPSTREAM = "qemu_xen"


def open_dm(domain: DomainInfo, store: Store) -> DeviceModel | None:
    """Return the device model of ``domain``, None for a guest that has none to save (PV, PVH).

    :raise DeviceModelError: it has one that pyxl cannot drive.
    """
    if store.read(paths.domain_type(domain.domid)) != "hvm":
        return None
    version = store.read(paths.device_model_version(domain.domid))
    if version != UPSTREAM:
        raise DeviceModelError(domain.domid, "open", f"{version or 'qemu_xen_traditional'} is not supported")
    return QmpDeviceModel(domain, store)
