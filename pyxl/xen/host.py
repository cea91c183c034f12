"""This Xen host as one object: libxenctrl answers questions, libxl acts; each is opened when first needed."""

import os
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from pyxl.model.domain import DomainInfo, ShutdownReason, Trigger, Vcpu
from pyxl.xen import lib
from pyxl.xen.ctrl import Control

if TYPE_CHECKING:
    from pyxl.xen.light import Libxl
    from pyxl.xen.topology import Topology


class XenHost:
    """The real Hypervisor of pyxl.model.ports; libxl's log goes to ``log_path``."""

    def __init__(self, log_path: str, verbose: bool = False) -> None:
        self._log_path = log_path
        self._verbose = verbose

    def __enter__(self) -> "XenHost":
        return self

    def __exit__(self, *_: object) -> None:
        for opened in ("_libxl", "_control"):
            if opened in self.__dict__:
                self.__dict__.pop(opened).__exit__(None, None, None)

    @cached_property
    def _control(self) -> Control:
        return Control()

    @cached_property
    def _libxl(self) -> "Libxl":
        from pyxl.xen.light import Libxl  # what only asks needs none

        return Libxl(self._log_path, self._verbose)

    def log_to(self, path: str) -> None:
        """Send libxl's log to ``path``; without effect once libxl is open."""
        self._log_path = path

    def domain(self, domid: int) -> DomainInfo | None:
        return self._control.domain(domid)

    def domains(self) -> list[DomainInfo]:
        return self._control.domains()

    def shutdown(self, domid: int, reason: ShutdownReason) -> None:
        self._control.shutdown(domid, reason)

    def hvm_param(self, domid: int, index: int) -> int:
        return self._control.hvm_param(domid, index)

    def release(self) -> str:
        return lib.xen_release()

    def free_memory_kb(self) -> int:
        return self._libxl.free_memory_kb()

    def needed_memory_kb(self, config_json: str) -> int:
        return self._libxl.needed_memory_kb(config_json)

    def grow_dom0(self, kb: int) -> None:
        self._libxl.grow_dom0(kb)

    def set_memory(self, domid: int, kb: int) -> None:
        self._libxl.set_memory(domid, kb)

    def set_most_memory(self, domid: int, kb: int) -> None:
        self._libxl.set_most_memory(domid, kb)

    def attach(self, domid: int, kind: str, device_json: str) -> None:
        self._libxl.attach(domid, kind, device_json)

    def detach_disk(self, domid: int, vdev: str, force: bool) -> None:
        self._libxl.detach_disk(domid, vdev, force)

    def detach_nic(self, domid: int, devid: int) -> None:
        self._libxl.detach_nic(domid, devid)

    def change_disc(self, domid: int, device_json: str) -> None:
        self._libxl.change_disc(domid, device_json)

    def keep_update(self, domid: int, text: bytes) -> None:
        self._libxl.keep_update(domid, text)

    def keep_origin(self, domid: int, text: bytes) -> None:
        self._libxl.keep_origin(domid, text)

    def command_line(self) -> str:
        return self._control.command_line()

    def unpopulated_kb(self, domid: int) -> int:
        return self._control.unpopulated_kb(domid)

    def pins(self, domid: int, vcpus: int) -> list[list[int]]:
        return self._control.pins(domid, vcpus)

    def pool_cpus(self, pool: int) -> list[int]:
        return self.topology.pool_cpus(pool)

    def cpu_nodes(self) -> list[int]:
        """Return the NUMA node of each CPU of this host."""
        return self._control.cpu_nodes()

    def max_cpu_policy(self, hvm: bool) -> tuple[bytes, bytes]:
        return self._control.max_cpu_policy(hvm)

    def config_json(self, domid: int) -> str:
        return self._libxl.config_json(domid)

    def normalise(self, config_json: str) -> str:
        return self._libxl.normalise(config_json)

    def create(self, config_json: str) -> int:
        return self._libxl.create(config_json)

    def restore(self, config_json: str, fd: int, helper: str, engine: str) -> int:
        os.environ["LIBXL_SAVE_HELPER"] = helper
        # Progress is read off the file's offset; as messages it would only be logged.
        os.environ["PYXL_SAVE_HELPER_QUIET"] = "1"
        os.environ["PYXL_SAVE_HELPER_ENGINE"] = engine
        return self._libxl.restore(config_json, fd)

    def resume(self, domid: int) -> None:
        self._control.resume(domid)

    def log_dirty_off(self, domid: int) -> None:
        self._control.log_dirty_off(domid)

    def pause(self, domid: int) -> None:
        self._libxl.pause(domid)

    def unpause(self, domid: int) -> None:
        self._libxl.unpause(domid)

    def destroy(self, domid: int) -> None:
        self._libxl.destroy(domid)

    def soft_reset(self, domid: int, config_json: str) -> None:
        self._libxl.soft_reset(domid, config_json)

    def preserve(self, domid: int, config_json: str, suffix: str, uuid: str) -> None:
        """Have a dead domain make room for the one that takes its place: add to its name, give it another uuid."""
        self._libxl.preserve(domid, config_json, suffix, uuid)
        self._control.set_uuid(domid, uuid)

    def rename(self, domid: int, old: str, new: str) -> None:
        self._libxl.rename(domid, old, new)

    def trigger(self, domid: int, trigger: Trigger, vcpu: int) -> None:
        self._libxl.trigger(domid, trigger, vcpu)

    def security_label(self, domid: int) -> str:
        return self._libxl.security_label(domid)

    def physinfo(self) -> dict[str, Any]:
        return self._libxl.physinfo()

    def version_info(self) -> dict[str, Any]:
        return self._libxl.version_info()

    def scheduler(self) -> str:
        return self._libxl.scheduler()

    def free_cpus(self) -> int:
        return self._libxl.free_cpus()

    def xen_log(self, clear: bool) -> Iterator[bytes]:
        return self._libxl.xen_log(clear)

    def console(self, domid: int, type_: int, number: int, escape: str | None) -> NoReturn:
        self._libxl.console(domid, type_, number, escape)

    def vncviewer(self, domid: int, autopass: bool) -> NoReturn:
        self._libxl.vncviewer(domid, autopass)

    @property
    def topology(self) -> "Topology":
        return self._control.topology

    def vcpus(self, domid: int) -> list[Vcpu]:
        return self._control.vcpus(domid)

    def core_dump(self, domid: int, path: str) -> None:
        self._libxl.core_dump(domid, path)
