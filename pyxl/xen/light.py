"""libxenlight: create, restore, destroy, change devices and memory, and configs as JSON (xen-spec.md 10.2).

A libxl_domain_config or a device is an opaque buffer here: its layout changes with every Xen, its JSON does not.
Every call blocks until libxl is done.
"""

import ctypes
import json
import os
import re
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pyxl.errors import XenError
from pyxl.model import paths
from pyxl.xen import lib

#: Far above any release's libxl_domain_config (1,400 bytes in Xen 4.22).
_CONFIG_BYTES = 64 << 10
_PARAMS_BYTES = 256
_STREAM_VERSION_OFFSET = 4
#: libxl must reap only its own children: Python has children too.
_SELECTIVE_REAP = 3

#: For a call on a domain that is not there yet.
_NO_DOMID = 0xFFFFFFFF

XTL_DEBUG, XTL_INFO = 1, 5
_SHOW_PID, _SHOW_DATE, _HIDE_PROGRESS = 1, 2, 4
_SHOWN_ON_FAILURE = 4  # lines of libxl's log

ERRORS = {
    -1: "nonspecific", -2: "version mismatch", -3: "failed", -4: "not implemented", -5: "out of memory",
    -6: "invalid argument", -7: "failed, and could not undo it", -8: "guest timed out", -9: "timed out",
    -10: "no PV drivers", -11: "not ready", -15: "lock failed", -21: "no such domain",
}  # fmt: skip


#: A structure of libxl, disposed of at the end of its with block.
Structure = AbstractContextManager["ctypes.Array[ctypes.c_char]"]


class _ChildHooks(ctypes.Structure):
    """libxl_childproc_hooks."""

    _fields_ = (("owner", ctypes.c_int), ("fork", ctypes.c_void_p), ("reaped", ctypes.c_void_p))


class _Uuid(ctypes.Structure):
    """libxl_uuid: 16 bytes, passed by value."""

    _fields_ = (("first", ctypes.c_uint64), ("last", ctypes.c_uint64))


class Libxl:
    """An open libxl context that writes its log to ``log_path`` (and to stderr where ``verbose``).

    :raise NotOnXen: this machine does not run Xen.
    :raise XenError: the library is missing or refuses.
    """

    def __init__(self, log_path: str, verbose: bool = False) -> None:
        self._library = lib.load("xenlight")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._log_fd, self._log_start = _open_log(log_path)
        logger = self._logger(XTL_DEBUG if verbose else XTL_INFO, verbose)
        self._ctx = ctypes.c_void_p()
        alloc = self._declare("libxl_ctx_alloc", ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
        code = alloc(ctypes.byref(self._ctx), 0, 0, logger)
        if code:
            raise XenError("libxl_ctx_alloc", detail=ERRORS.get(code, str(code)))
        self._hooks = _ChildHooks(owner=_SELECTIVE_REAP)
        set_mode = lib.declare(
            self._library, None, "libxl_childproc_setmode", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
        )
        set_mode(self._ctx, ctypes.byref(self._hooks), None)

    def __enter__(self) -> "Libxl":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        lib.declare(self._library, ctypes.c_int, "libxl_ctx_free", ctypes.c_void_p)(self._ctx)
        os.close(self._log_fd)

    def config_json(self, domid: int) -> str:
        """Return a living domain's config as libxl would save it, with its present name, vcpus, memory and devices."""
        with self._config() as config:
            self._call("libxl_retrieve_domain_configuration", domid, config, None, domid=domid)
            return self._to_json(config, "libxl_domain_config")

    def normalise(self, config_json: str) -> str:
        """Return a config as libxl understands it; it drops members that are unknown or of a wrong type."""
        with self._config(config_json) as config:
            return self._to_json(config, "libxl_domain_config")

    def create(self, config_json: str) -> int:
        """Build a domain, leave it paused, and return its domid; when libxl fails, it destroys the domain."""
        domid = ctypes.c_uint32()
        with self._config(config_json) as config:
            self._call("libxl_domain_create_new", config, ctypes.byref(domid), None, None)
        return domid.value

    def restore(self, config_json: str, fd: int) -> int:
        """Build a domain from the libxl v2 stream at ``fd``, leave it paused, and return its domid.

        Memory goes through the helper that LIBXL_SAVE_HELPER names; libxl destroys the domain when it fails.
        """
        domid = ctypes.c_uint32()
        params = ctypes.create_string_buffer(_PARAMS_BYTES)
        self._bare("libxl_domain_restore_params_init", params)
        ctypes.c_uint32.from_buffer(params, _STREAM_VERSION_OFFSET).value = 2  # libxl's default is the legacy one
        with self._config(config_json) as config:
            self._call("libxl_domain_create_restore", config, ctypes.byref(domid), fd, -1, params, None, None)
        self._bare("libxl_domain_restore_params_dispose", params)
        return domid.value

    def pause(self, domid: int) -> None:
        self._call("libxl_domain_pause", domid, None, domid=domid)

    def unpause(self, domid: int) -> None:
        self._call("libxl_domain_unpause", domid, None, domid=domid)

    def destroy(self, domid: int) -> None:
        self._call("libxl_domain_destroy", domid, None, domid=domid)

    def soft_reset(self, domid: int, config_json: str) -> None:
        """Give a domain that asked for a soft reset new devices and leave it paused; its memory stays as it is."""
        with self._config(config_json) as config:
            self._call("libxl_domain_soft_reset", config, domid, None, None, domid=domid)

    def preserve(self, domid: int, config_json: str, suffix: str, uuid: str) -> None:
        """Add to a dead domain's name, and give it another uuid in xenstore; ``config_json`` is its own of now.

        Xen's own note of the uuid stays as it is: libxl leaves that to nobody.  The domain's files in /var/lib/xen,
        which libxl names by that note, are renamed for the new uuid.
        """
        old = json.loads(config_json)["c_info"]["uuid"]
        with self._config(config_json) as config:  # its first member is the libxl_domain_create_info
            new = _Uuid.from_buffer_copy(bytes.fromhex(uuid.replace("-", "")))
            self._call("libxl_domain_preserve", domid, config, suffix.encode(), new, domid=domid)
        for path in Path(paths.LIB_DIRECTORY).glob(f"userdata-?.{domid}.{old}.*"):
            path.rename(str(path).replace(old, uuid))

    def core_dump(self, domid: int, path: str) -> None:
        """Write a domain's memory to ``path`` as an ELF core."""
        self._call("libxl_domain_core_dump", domid, path.encode(), None, domid=domid)

    def rename(self, domid: int, old: str, new: str) -> None:
        """Give a domain that is called ``old`` another name, which no other domain may have."""
        self._call("libxl_domain_rename", domid, old.encode(), new.encode(), domid=domid)

    def trigger(self, domid: int, trigger: int, vcpu: int) -> None:
        """Do to a domain from outside what ``trigger`` says, by libxl's numbers."""
        self._call("libxl_send_trigger", domid, trigger, vcpu, None, domid=domid)

    def security_label(self, domid: int) -> str:
        """Return a domain's security label, empty where Xen has none."""
        with self._filled("libxl_dominfo", "libxl_domain_info", domid, domid=domid) as info:
            return str(json.loads(self._to_json(info, "libxl_dominfo")).get("ssid_label") or "")

    def physinfo(self) -> dict[str, Any]:
        """Return what libxl knows of the machine (libxl_physinfo), with all eight words of ``hw_cap``.

        Its JSON has only the first four of them; the others follow them in the structure, wherever that has them.
        """
        with self._filled("libxl_physinfo", "libxl_get_physinfo") as info:
            known: dict[str, Any] = json.loads(self._to_json(info, "libxl_physinfo"))
            first = struct.pack("4I", *known["hw_cap"])
            known["hw_cap"] = list(struct.unpack_from("8I", info, info.raw.index(first)))
        return known

    def version_info(self) -> dict[str, Any]:
        """Return what libxl knows of the hypervisor (libxl_version_info)."""
        address = lib.declare(self._library, ctypes.c_void_p, "libxl_get_version_info", ctypes.c_void_p)(self._ctx)
        if not address:
            raise XenError("libxl_get_version_info")
        known: dict[str, Any] = json.loads(self._to_json(address, "libxl_version_info"))
        return known

    def scheduler(self) -> str:
        """Return the name of the scheduler of the first cpupool."""
        number = self._call("libxl_get_scheduler")
        name = lib.declare(self._library, ctypes.c_char_p, "libxl_scheduler_to_string", ctypes.c_int)(number)
        return name.decode() if name else "unknown"

    def free_cpus(self) -> int:
        """Return how many CPUs are in no cpupool."""
        with self._filled("libxl_bitmap", "libxl_get_freecpus") as cpus:
            return int(self._declare("libxl_bitmap_count_set", ctypes.c_void_p)(cpus))

    def xen_log(self, clear: bool) -> Iterator[bytes]:
        """Yield the hypervisor's log in pieces; with ``clear`` it is empty afterwards."""
        start = lib.declare(
            self._library, ctypes.c_void_p, "libxl_xen_console_read_start", ctypes.c_void_p, ctypes.c_int
        )
        reader = ctypes.c_void_p(start(self._ctx, clear))
        piece = ctypes.c_char_p()
        try:
            while self._call("libxl_xen_console_read_line", reader, ctypes.byref(piece)):
                yield piece.value or b""
        finally:
            self._bare("libxl_xen_console_read_finish", self._ctx, reader)

    def console(self, domid: int, type_: int, number: int, escape: str | None) -> NoReturn:
        """Become xenconsole on one of a domain's consoles, by libxl's number of its type; 0 is its primary one.

        ``escape`` is of Xen 4.18 and later; an older libxl does not look at that argument.

        :raise XenError: xenconsole cannot be started.
        """
        last = (-1, None if escape is None else escape.encode())
        if type_:
            self._call("libxl_console_exec", domid, number, type_, *last, domid=domid)
        self._call("libxl_primary_console_exec", domid, *last, domid=domid)
        raise XenError("libxl_console_exec", 0, domid)

    def vncviewer(self, domid: int, autopass: bool) -> NoReturn:
        """Become a vncviewer on a domain's display.

        :raise XenError: it has none.
        """
        self._call("libxl_vncviewer_exec", domid, int(autopass), domid=domid)
        raise XenError("libxl_vncviewer_exec", 0, domid)

    def free_memory_kb(self) -> int:
        """Return how much memory the hypervisor has free for new domains, in KiB."""
        value = ctypes.c_uint64()
        self._call("libxl_get_free_memory", ctypes.byref(value))
        return value.value

    def needed_memory_kb(self, config_json: str) -> int:
        """Return how much free memory the hypervisor needs to build a domain, in KiB."""
        needed = ctypes.c_uint64()
        with self._config(config_json) as config:
            self._call("libxl_domain_need_memory", config, _NO_DOMID, ctypes.byref(needed))
        return needed.value

    def grow_dom0(self, kb: int) -> None:
        """Tell dom0 to have ``kb`` KiB of memory more, or less; it takes its time."""
        self._call("libxl_set_memory_target", 0, ctypes.c_int64(kb), 1, 0)

    def set_memory(self, domid: int, kb: int) -> None:
        """Tell a domain to have ``kb`` KiB of memory, its video memory among it, and let it have no more than that."""
        self._call("libxl_set_memory_target", domid, ctypes.c_int64(kb), 0, 1, domid=domid)

    def set_most_memory(self, domid: int, kb: int) -> None:
        """Set the most that a domain may ever be told to have, in KiB."""
        self._call("libxl_domain_setmaxmem", domid, ctypes.c_int64(kb), domid=domid)

    def attach(self, domid: int, kind: str, device_json: str) -> None:
        """Give a running domain a device, and note it in the config that libxl keeps; ``kind`` is disk or nic."""
        with self._device(kind, device_json) as device:
            self._call(f"libxl_device_{kind}_add", domid, device, None, domid=domid)

    def detach_disk(self, domid: int, vdev: str, force: bool) -> None:
        """Take a disk away from a running domain: once it has released it, or with ``force`` at once."""
        with self._device("disk") as device:
            self._call("libxl_vdev_to_device_disk", domid, vdev.encode(), device, domid=domid)
            name = "libxl_device_disk_destroy" if force else "libxl_device_disk_safe_remove"
            self._call(name, domid, device, None, domid=domid)

    def detach_nic(self, domid: int, devid: int) -> None:
        """Take a network card away from a running domain, which may be using it."""
        with self._device("nic") as device:
            self._call("libxl_devid_to_device_nic", domid, devid, device, domid=domid)
            self._call("libxl_device_nic_remove", domid, device, None, domid=domid)

    def change_disc(self, domid: int, device_json: str) -> None:
        """Put another disc into a CD-ROM drive of a domain; one whose format is empty ejects."""
        with self._device("disk", device_json) as device:
            self._call("libxl_cdrom_insert", domid, device, None, domid=domid)

    def keep_update(self, domid: int, text: bytes) -> None:
        """Keep an xl.cfg from which a domain is built at its next reboot, where xl's monitor looks for it."""
        self._call("libxl_userdata_store", domid, b"xl", text, len(text), domid=domid)

    def keep_origin(self, domid: int, text: bytes) -> None:
        """Keep what a domain was made of with libxl's own files of it; they go with the domain."""
        self._call("libxl_userdata_store", domid, b"pyxl-clone", text, len(text), domid=domid)

    def _declare(self, name: str, *argtypes: object) -> "ctypes._NamedFuncPointer":
        return lib.declare(self._library, ctypes.c_int, name, *argtypes)

    def _bare(self, name: str, *arguments: object) -> None:
        lib.declare(self._library, None, name, *([ctypes.c_void_p] * len(arguments)))(*arguments)

    def _call(self, name: str, *arguments: object, domid: int | None = None) -> int:
        """Call a libxl function whose first argument is the context; a negative result is a XenError."""
        types: list[object] = [ctypes.c_void_p]
        types += [_type(argument) for argument in arguments]
        code = self._declare(name, *types)(self._ctx, *arguments)
        if code < 0:
            raise XenError(name, 0, domid, detail=self._failure(code))
        return int(code)

    def _failure(self, code: int) -> str:
        """Return libxl's code in words, with the reason that its log gives."""
        os.lseek(self._log_fd, self._log_start, os.SEEK_SET)
        text = b""
        while chunk := os.read(self._log_fd, 1 << 16):
            text += chunk
        pid = f"[{os.getpid()}]"
        said = [
            re.sub(r"^.*?libxl_[\w.]+:\d+:\w+: ", "", line)
            for line in text.decode(errors="replace").splitlines()
            if pid in line and ": error:" in line
        ]
        words = ERRORS.get(code, f"libxl error {code}")
        return f"{words}: {'; '.join(said[:_SHOWN_ON_FAILURE])}" if said else words

    def _logger(self, level: int, verbose: bool) -> int:
        fdopen = lib.declare(self._libc, ctypes.c_void_p, "fdopen", ctypes.c_int, ctypes.c_char_p)
        stream = fdopen(os.dup(self._log_fd), b"a")
        if verbose:
            stream = ctypes.c_void_p.in_dll(self._libc, "stderr")
        make = lib.declare(
            lib.load("xentoollog"), ctypes.c_void_p, "xtl_createlogger_stdiostream",
            ctypes.c_void_p, ctypes.c_int, ctypes.c_uint,
        )  # fmt: skip
        return int(make(stream, level, _SHOW_PID | _SHOW_DATE | _HIDE_PROGRESS))

    def _config(self, config_json: str | None = None) -> Structure:
        return self._structure("libxl_domain_config", config_json)

    def _device(self, kind: str, device_json: str | None = None) -> Structure:
        return self._structure(f"libxl_device_{kind}", device_json)

    @contextmanager
    def _structure(self, name: str, text: str | None = None) -> "Iterator[ctypes.Array[ctypes.c_char]]":
        """Yield an initialised structure of libxl, filled from JSON where there is some."""
        structure = ctypes.create_string_buffer(_CONFIG_BYTES)
        self._bare(f"{name}_init", structure)
        try:
            if text is not None:
                self._call(f"{name}_from_json", structure, text.encode())
            yield structure
        finally:
            self._bare(f"{name}_dispose", structure)

    @contextmanager
    def _filled(
        self, structure: str, getter: str, *more: object, domid: int | None = None
    ) -> "Iterator[ctypes.Array[ctypes.c_char]]":
        """Yield a structure that ``getter`` has filled, whose layout is not known here."""
        with self._structure(structure) as buffer:
            self._call(getter, buffer, *more, domid=domid)
            yield buffer

    def _to_json(self, what: "ctypes.Array[ctypes.c_char] | int", structure: str) -> str:
        """Return a structure, or what is at an address, as libxl writes it in JSON."""
        name = f"{structure}_to_json"
        function = lib.declare(self._library, ctypes.c_void_p, name, ctypes.c_void_p, ctypes.c_void_p)
        address = function(self._ctx, what)
        if not address:
            raise XenError(name)
        try:
            return ctypes.string_at(address).decode()
        finally:
            lib.declare(self._libc, None, "free", ctypes.c_void_p)(address)


def _type(argument: object) -> object:
    """Return the C type of an argument: a uint32, an int64 or a structure by value, or a pointer."""
    if isinstance(argument, int):
        return ctypes.c_uint32
    return type(argument) if isinstance(argument, (ctypes.c_int64, ctypes.Structure)) else ctypes.c_void_p


def _open_log(path: str) -> tuple[int, int]:
    """Open libxl's log for appending and return it with the offset where this process starts."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        fd = os.memfd_create("libxl-log")  # a log that cannot be kept is no reason not to save a guest
    return fd, os.lseek(fd, 0, os.SEEK_END)
