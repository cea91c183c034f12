"""A fake host, for failures that cannot be caused on a real one; ``calls`` has every call in order."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from pyxl.errors import DeviceModelError, DeviceModelTimeout, XenError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason, Trigger

T = TypeVar("T")
UUID = "6b1d9b2e-0000-4000-8000-000000000001"
CONFIG = {
    "c_info": {"type": "hvm", "name": "web1", "uuid": UUID},
    "b_info": {"max_vcpus": 1, "max_memkb": 131072, "target_memkb": 131072, "shadow_memkb": 2048},
    "on_reboot": "restart",
}


def running(domid: int = 7) -> DomainInfo:
    return DomainInfo(
        domid=domid, uuid=UUID, hvm=True, running=False, blocked=True, paused=False, dying=False,
        shutdown_reason=None, memory_kb=1024, max_memory_kb=2048, vcpus=1, cpu_time=0,
    )  # fmt: skip


class FakeXen:
    """A hypervisor whose guests obey at once; ``fail`` names the calls that raise XenError."""

    def __init__(self, calls: list[str], *domains: DomainInfo) -> None:
        self.calls = calls
        self.all = {domain.domid: domain for domain in domains}
        self.fail: set[str] = set()
        self.params = {0: 1, 14: 0}
        self.config = json.dumps(CONFIG)
        self.free_kb = 1 << 30
        self.dom0_gives_kb = 1 << 30
        self.xen_options = "dom0_mem=2G,max:2G"
        self.next_domid = 8
        self.created = ""
        self.create_fails = 0
        self.on_demand_kb = 0
        self.pinned: list[list[int]] = []
        self.pools = {0: [0, 1]}
        self.cpu_policy = (b"", b"")

    def _note(self, call: str, *arguments: object) -> None:
        self.calls.append(" ".join(map(str, (call, *arguments))))
        if call in self.fail:
            raise XenError(call, 5)

    def change(self, domid: int, reason: ShutdownReason | None) -> None:
        self.all[domid] = self.all[domid]._replace(shutdown_reason=reason)

    def domain(self, domid: int) -> DomainInfo | None:
        return self.all.get(domid)

    def domains(self) -> list[DomainInfo]:
        return list(self.all.values())

    def shutdown(self, domid: int, reason: ShutdownReason) -> None:
        self._note("shutdown", domid, reason.name)
        self.change(domid, reason)

    def hvm_param(self, domid: int, index: int) -> int:
        return self.params[index]

    def release(self) -> str:
        return "4.99.7"  # no release on which the memory engine was proven: fakes of the save-helper speak libxc's

    def free_memory_kb(self) -> int:
        return self.free_kb

    def needed_memory_kb(self, config_json: str) -> int:
        return int(json.loads(config_json)["b_info"].get("target_memkb", 0)) + 2048

    def grow_dom0(self, kb: int) -> None:
        self._note("grow_dom0", kb)
        self.free_kb -= max(kb, -self.dom0_gives_kb)

    def set_memory(self, domid: int, kb: int) -> None:
        self._note("set_memory", domid, kb)

    def set_most_memory(self, domid: int, kb: int) -> None:
        self._note("set_most_memory", domid, kb)

    def attach(self, domid: int, kind: str, device_json: str) -> None:
        self._note("attach", domid, kind, device_json)

    def detach_disk(self, domid: int, vdev: str, force: bool) -> None:
        self._note("detach_disk", domid, vdev, force)

    def detach_nic(self, domid: int, devid: int) -> None:
        self._note("detach_nic", domid, devid)

    def change_disc(self, domid: int, device_json: str) -> None:
        self._note("change_disc", domid, device_json)

    def keep_update(self, domid: int, text: bytes) -> None:
        self._note("keep_update", domid, text.decode())

    def keep_origin(self, domid: int, text: bytes) -> None:
        self._note("keep_origin", domid)

    def command_line(self) -> str:
        return self.xen_options

    def unpopulated_kb(self, domid: int) -> int:
        return self.on_demand_kb

    def pins(self, domid: int, vcpus: int) -> list[list[int]]:
        return self.pinned

    def pool_cpus(self, pool: int) -> list[int]:
        return self.pools.get(pool, [])

    def max_cpu_policy(self, hvm: bool) -> tuple[bytes, bytes]:
        return self.cpu_policy

    def config_json(self, domid: int) -> str:
        self._note("config_json", domid)
        return self.config

    def normalise(self, config_json: str) -> str:
        return config_json

    def create(self, config_json: str) -> int:
        self._note("create", json.loads(config_json)["c_info"]["name"])
        if self.create_fails:
            self.create_fails -= 1
            raise XenError("create", 5)
        self.created = config_json
        domid, self.next_domid = self.next_domid, self.next_domid + 1
        self.all[domid] = running(domid)
        return domid

    def restore(self, config_json: str, fd: int, helper: str, engine: str) -> int:
        self._note("restore", json.loads(config_json)["c_info"]["name"])
        self.all[8] = running(8)
        return 8

    def resume(self, domid: int) -> None:
        self._note("resume", domid)
        self.change(domid, None)

    def log_dirty_off(self, domid: int) -> None:
        self._note("log_dirty_off", domid)

    def pause(self, domid: int) -> None:
        self._note("pause", domid)
        self.all[domid] = self.all[domid]._replace(paused=True)

    def unpause(self, domid: int) -> None:
        self._note("unpause", domid)

    def destroy(self, domid: int) -> None:
        self._note("destroy", domid)
        self.all.pop(domid)

    def soft_reset(self, domid: int, config_json: str) -> None:
        self._note("soft_reset", domid)
        self.change(domid, None)

    def preserve(self, domid: int, config_json: str, suffix: str, uuid: str) -> None:
        self._note("preserve", domid, json.loads(config_json)["c_info"]["name"])
        self.all[domid] = self.all[domid]._replace(uuid=uuid)

    def core_dump(self, domid: int, path: str) -> None:
        self._note("core_dump", domid)


    def rename(self, domid: int, old: str, new: str) -> None:
        self._note("rename", domid, old, new)

    def trigger(self, domid: int, trigger: Trigger, vcpu: int) -> None:
        self._note("trigger", domid, trigger.name, vcpu)

    def console(self, domid: int, type_: int, number: int, escape: str | None) -> NoReturn:
        self._note("console", domid, type_, number, escape)
        raise XenError("libxl_console_exec", 0, domid)

    def vncviewer(self, domid: int, autopass: bool) -> NoReturn:
        self._note("vncviewer", domid, autopass)
        raise XenError("libxl_vncviewer_exec", 0, domid)


class FakeWatch:
    def __init__(self, happen: Callable[[], None]) -> None:
        self._happen = happen

    def wait(self, seconds: float | None) -> bool:
        self._happen()
        return True


class FakeStore:
    """A xenstore in a dict.  ``on_wait`` runs at each wait for a watch: that is when time passes."""

    def __init__(self, nodes: dict[str, str]) -> None:
        self.nodes = nodes
        self.resumed_domids: list[int] = []
        self.on_wait: Callable[[], None] = lambda: None

    def read(self, path: str) -> str | None:
        return self.nodes.get(path)

    def write(self, path: str, value: str) -> None:
        self.nodes[path] = value

    def write_if(self, path: str, expected: str, value: str) -> bool:
        if self.nodes.get(path) != expected:
            return False
        self.nodes[path] = value
        return True

    def remove(self, path: str) -> None:
        self.nodes = {node: value for node, value in self.nodes.items() if node != path and not node.startswith(path + "/")}

    def together(self, body: Callable[[], T]) -> T:
        return body()

    def children(self, path: str) -> list[str]:
        names = (node.removeprefix(path + "/").split("/")[0] for node in self.nodes if node.startswith(path + "/"))
        return list(dict.fromkeys(names))

    def resumed(self, domid: int) -> None:
        self.resumed_domids.append(domid)

    def introduced(self, domid: int) -> bool:
        return paths.name(domid) in self.nodes

    @contextmanager
    def watch(self, *paths: str) -> Iterator[FakeWatch]:
        yield FakeWatch(lambda: self.on_wait())


class FakeDeviceModel:
    emulator_id = 2
    version = "7.2.22"

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.fail: set[str] = set()
        self.silent: set[str] = set()
        self.blocked: list[str] = []

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.silent:
            raise DeviceModelTimeout(7, call.removeprefix("dm."), "timed out")
        if call in self.fail:
            raise DeviceModelError(7, call.removeprefix("dm."), "refused")

    def blockers(self) -> list[str]:
        if "dm.blockers" in self.fail:
            raise DeviceModelError(7, "query-migrate", "timed out")
        return self.blocked

    def stop_and_save(self) -> bytes:
        self._note("dm.save")
        return b"QEVM state"

    def xenstore_data(self) -> list[tuple[str, str]]:
        return []

    def resume(self) -> None:
        self._note("dm.resume")

    def log_dirty(self, on: bool) -> None:
        self._note(f"dm.log_dirty {'on' if on else 'off'}")


def web1() -> dict[str, str]:
    """Return the nodes of one HVM guest named web1, domid 7."""
    return {
        paths.name(0): "Domain-0",
        paths.name(7): "web1",
        paths.domain_type(7): "hvm",
        paths.device_model_version(7): "qemu_xen",
        paths.control_shutdown(7): "",
    }
