"""Where Xen's tools keep things: xenstore paths and file names, as pure functions (xen-spec.md 8.1 and 9.4)."""

#: Where the logs of domains are: xl's, qemu's and pyxl's.
LOG_DIRECTORY = "/var/log/xen"
LIB_DIRECTORY = "/var/lib/xen"
RUN_DIRECTORY = "/var/run/xen"
#: Where the journals of operations on guests are; it survives a reboot, as the files that they name do.
JOURNAL_DIRECTORY = "/var/lib/xen/pyxl"
#: What pyxl knows of each clone.
CLONES = "/var/lib/xen/pyxl-clones"
XL_CONF = "/etc/xen/xl.conf"
PYXL_CONF = "/etc/xen/pyxl.conf"
#: Where xenstored listens.
XENSTORED = "/var/run/xenstored/socket"
#: What xl holds while it builds a domain.
XL_LOCK = "/var/lock/xl"

LOCAL_DOMAIN = "/local/domain"
POOLS = "/local/pool"
#: Relative to the domain that asks: its own domid.
OWN_DOMID = "domid"
#: What pyxl-qemu-dm announces in ``device_model_control``.
CONTROL_XENSTORE = "xenstore"
#: The domid of the domain that xenstored runs in.
XENSTORED_DOMID = "/tool/xenstored/domid"
#: Fires when a domain shuts down, suspends or goes away.
RELEASE_DOMAIN = "@releaseDomain"


def domain(domid: int) -> str:
    return f"{LOCAL_DOMAIN}/{domid}"


def name(domid: int) -> str:
    return f"{LOCAL_DOMAIN}/{domid}/name"


def control_shutdown(domid: int) -> str:
    return f"{LOCAL_DOMAIN}/{domid}/control/shutdown"


def control_sysrq(domid: int) -> str:
    return f"{LOCAL_DOMAIN}/{domid}/control/sysrq"


def control_feature(domid: int, request: str) -> str:
    """Return where a guest says whether it obeys ``request`` in control/shutdown: "1", "0", or nothing."""
    return f"{LOCAL_DOMAIN}/{domid}/control/feature-{request}"


def backends(kind: str) -> str:
    """Return the directory of dom0's backends of one kind (vbd, qdisk, vif, …): below it DOMID/DEVICE."""
    return f"{LOCAL_DOMAIN}/0/backend/{kind}"


def device_model(domid: int, dm_domid: int) -> str:
    """Return the directory of the device model that serves ``domid`` and runs in ``dm_domid``."""
    return f"{LOCAL_DOMAIN}/{dm_domid}/device-model/{domid}"


def device_model_control(domid: int, dm_domid: int) -> str:
    """Return where a device model announces how it is driven; upstream qemu by itself announces nothing."""
    return f"{device_model(domid, dm_domid)}/control"


def device_model_domid(domid: int) -> str:
    """Return where libxl keeps the domid of the stub domain that a domain's device model runs in, if it has one."""
    return f"{LOCAL_DOMAIN}/{domid}/image/device-model-domid"


def device_model_pid(domid: int) -> str:
    """Return where libxl keeps the pid of a domain's device model."""
    return f"{LOCAL_DOMAIN}/{domid}/image/device-model-pid"


def device_model_save(domid: int) -> str:
    """Return the file that a device model driven over xenstore writes its state to."""
    return f"{LIB_DIRECTORY}/qemu-save.{domid}"


def device_model_version(domid: int) -> str:
    return f"/libxl/{domid}/dm-version"


def libxl_devices(domid: int, kind: str) -> str:
    """Return where libxl keeps its devices of one kind, by their numbers."""
    return f"/libxl/{domid}/device/{kind}"


def frontend(domid: int, kind: str, number: str) -> str:
    """Return where a guest's driver says how far it is with a device."""
    return f"{LOCAL_DOMAIN}/{domid}/device/{kind}/{number}"


def memory(domid: int, what: str) -> str:
    """Return where libxl keeps how much memory a domain is to have (target) or may have (static-max), in KiB."""
    return f"{LOCAL_DOMAIN}/{domid}/memory/{what}"


def domain_type(domid: int) -> str:
    return f"/libxl/{domid}/type"


def journal(uuid: str) -> str:
    """Return the journal of the operation on the guest with this uuid."""
    return f"{JOURNAL_DIRECTORY}/{uuid}"


def qmp_socket(domid: int) -> str:
    return f"{RUN_DIRECTORY}/qmp-libxl-{domid}"


def qmp_lock(domid: int, uuid: str) -> str:
    """Return the lock that libxl holds around each use of a domain's QMP socket, which serves one client at a time."""
    return f"{LIB_DIRECTORY}/userdata-l.{domid}.{uuid}.qmp-socket-lock"


def device_model_log(domain_name: str) -> str:
    return f"{LOG_DIRECTORY}/qemu-dm-{domain_name}.log"


def serial_tty(domid: int, number: int) -> str:
    """Return where the terminal is that a domain's serial port is connected to."""
    return f"{LOCAL_DOMAIN}/{domid}/serial/{number}/tty"


def console_tty(domid: int, number: int) -> str:
    """Return where the terminal is that a domain's PV console is connected to."""
    return f"{LOCAL_DOMAIN}/{domid}/" + (f"device/console/{number}/tty" if number else "console/tty")


def vnc_port(domid: int) -> str:
    return f"{LOCAL_DOMAIN}/{domid}/console/vnc-port"


def vnc_listen(domid: int) -> str:
    return f"{LOCAL_DOMAIN}/{domid}/console/vnc-listen"


def vm(domid: int) -> str:
    """Return where the path is under which libxl keeps what it knows of a domain's guest: its start, for one."""
    return f"{LOCAL_DOMAIN}/{domid}/vm"


def unwatched(domid: int) -> str:
    """Return where pyxl notes that a domain is to have no monitor; it goes with the domain."""
    return f"/libxl/{domid}/pyxl-unwatched"


def clone_of(domid: int) -> str:
    """Return where pyxl notes what a clone was made of; it goes with the domain."""
    return f"/libxl/{domid}/pyxl-clone"


def restored_at(domid: int) -> str:
    """Return where pyxl notes for a guest when it came back; below `data`, which the guest may read."""
    return f"{LOCAL_DOMAIN}/{domid}/data/restored-at"


def pool_name(pool: int) -> str:
    """Return where the name of a cpupool is."""
    return f"{POOLS}/{pool}/name"


def console_log(domain_name: str) -> str:
    """Return where xenconsoled keeps what a domain says on its PV console, if it keeps it."""
    return f"{LOG_DIRECTORY}/console/guest-{domain_name}.log"


def domain_log(domain_name: str) -> str:
    """Return pyxl's own log of a domain: its monitor's and libxl's lines."""
    return f"{LOG_DIRECTORY}/pyxl-{domain_name.replace('/', '_')}.log"


def libxl_config(domid: int, uuid: str) -> str:
    """The config that libxl keeps of a domain: JSON and a NUL (xen-spec.md 9.4)."""
    return f"{LIB_DIRECTORY}/userdata-d.{domid}.{uuid}.libxl-json"


def config_update(domid: int, uuid: str) -> str:
    """The xl.cfg text from which a domain is built at its next reboot, where config-update has left one."""
    return f"{LIB_DIRECTORY}/userdata-d.{domid}.{uuid}.xl"


def crash_dump(domain_name: str, stamp: str) -> str:
    """Return where a crashed domain's memory goes with on_crash=coredump-…, as xl names it."""
    return f"{LIB_DIRECTORY}/dump/{stamp}-{domain_name.replace('/', '_')}.core"
