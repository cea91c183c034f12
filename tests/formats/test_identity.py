"""What another guest from the same checkpoint may not share, and what it keeps."""

import json
from typing import Any

import pytest

from pyxl.errors import UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.identity import own_path, take_new_identity
from pyxl.formats.members import members
from pyxl.formats.xlcfg import settings
from pyxl.formats.xlcfg.parse import parse

TEXT = """
name = "web1"
uuid = "6b1d9b2e-0000-4000-8000-000000000001"
type = "hvm"
vcpus = 2
memory = 128
on_crash = "preserve"
disk = ["/srv/web1.raw,raw,hda,rw"]
"""
MAC, UUID, PORT = "00:16:3e:12:34:56", "6b1d9b2e-0000-4000-8000-0000000000ff", 6001
GENERATION_ID = list(range(16))


class Chooser:
    """Always chooses the same."""

    def uuid(self) -> str:
        return UUID

    def generation_id(self) -> list[int]:
        return GENERATION_ID

    def mac(self) -> str:
        return MAC

    def port(self, wanted: int) -> int:
        return wanted + 1


def config(more: str = "") -> GuestConfig:
    return GuestConfig(json.dumps(parse([("test", TEXT + more)])), "test")


def taken(more: str) -> dict[str, Any]:
    """Return what a new identity changes, apart from name and uuid."""
    found, old = config(more), config(more)
    if isinstance(old.document["b_info"]["type.hvm"].get("ms_vm_genid"), list):  # random in each
        found.document["b_info"]["type.hvm"]["ms_vm_genid"] = old.document["b_info"]["type.hvm"]["ms_vm_genid"]
    take_new_identity(found, "web2", Chooser())
    changed = {each.name: each.b for each in members(old.document, found.document)}
    assert (changed.pop("c_info.name"), changed.pop("c_info.uuid")) == ("web2", UUID)
    return changed


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ("", {}),
        ("ms_vm_genid = 'generate'", {"b_info.type.hvm.ms_vm_genid": GENERATION_ID}),
        ("vif = ['bridge=b,mac=00:16:3e:00:00:01,vifname=web']", {"nics.0.mac": MAC, "nics.0.ifname": None}),
        ("vif = ['bridge=b']", {"nics.0.mac": MAC}),
        ("vnc = 1\nvncdisplay = 3", {"b_info.type.hvm.vnc.display": None, "b_info.type.hvm.vnc.findunused": "True"}),
        (
            "vnc = 1\nvnclisten = '0.0.0.0:1'",
            {"b_info.type.hvm.vnc.listen": "0.0.0.0", "b_info.type.hvm.vnc.findunused": "True"},
        ),
        ("spice = 1\nspiceport = 6000\nspicedisable_ticketing = 1", {"b_info.type.hvm.spice.port": PORT}),
        ("serial = 'pty'", {}),
        ("serial = 'file:/var/log/web1-tty.log'", {"b_info.type.hvm.serial": "file:/var/log/web2-tty.log"}),
        (
            "serial = ['pty', 'unix:/run/tty,server,nowait', 'tcp:127.0.0.1:4000,server']",
            {"b_info.type.hvm.serial_list": ["pty", "unix:/run/tty-web2,server,nowait", "tcp:127.0.0.1:4001,server"]},
        ),
        (
            "channel = ['connection=socket,path=/run/agent.sock,name=agent']",
            {"channels.0.connection.socket.path": "/run/agent-web2.sock"},
        ),
        ("p9 = ['tag=share,path=/srv/web1,security_model=none']", {"p9s.0.path": "/srv/web2"}),
    ],
)  # fmt: skip
def test_what_two_guests_cannot_share_is_its_own(more: str, changed: dict[str, Any]) -> None:
    assert taken(more) == changed


@pytest.mark.parametrize(
    ("more", "said"),
    [("serial = '/dev/ttyS0'", "serial port /dev/ttyS0"), ("pci = ['03:00.0']", "a PCI device"), ("vtpm = ['backend=t']", "a virtual TPM")],
)
def test_what_only_one_guest_can_have_is_refused(more: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        take_new_identity(config(more), "web2", Chooser())


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/srv/web1.log", "/srv/web2.log"), ("/srv/tty-web1.log", "/srv/tty-web2.log"), ("/srv/web10.log", "/srv/web10-web2.log"),
        ("/srv/web1/tty", "/srv/web1/tty-web2"),
    ],
)  # fmt: skip
def test_a_path_of_its_own(path: str, own: str) -> None:
    assert own_path(path, "web1", "web2") == own


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("on_crash='destroy'", {"on_crash": "destroy"}),
        ("on_reboot='restart'", {}),
        ("vnc=0", {"b_info.type.hvm.vnc.enable": "False"}),
        ("vnclisten='0.0.0.0'", {"b_info.type.hvm.vnc.listen": "0.0.0.0"}),
        ("cpu_weight=512", {"b_info.sched_params.weight": 512}),
        ("cpus='1'", {"b_info.vcpu_hard_affinity": [[1], [1]]}),
        ("serial='pty'", {"b_info.type.hvm.serial": "pty"}),
        ("pool='fast'", {"c_info.pool_name": "fast"}),
    ],
)
def test_what_the_guest_does_not_see_can_be_set(setting: str, changed: dict[str, Any]) -> None:
    found = config()
    settings.put(found, [setting], {})
    names = {each.name: each.b for each in members(config().document, found.document)}
    names.pop("b_info.numa_placement", None)  # libxl's, where a guest is pinned
    assert names == changed


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("vcpus=4", "--set vcpus: it would change what the guest has"),
        ("memory=256", "--set memory: it would"), ("firmware='ovmf'", "--set firmware: it would"),
        ("usb=1", "--set usb: it would"), ("name='x'", "--set name: that is what --name is for"),
        ("disk=[]", "--set disk: that is what --disk is for"), ("nonsense=1", "--set nonsense: .* is no key of xl.cfg"),
        ("on_crash='sing'", "on_crash"), ("on_crash", "--set"),
    ],
)  # fmt: skip
def test_what_the_guest_would_see_is_refused(setting: str, said: str) -> None:
    found = config()
    with pytest.raises(UsageError, match=said):
        settings.put(found, [setting], {})
    assert found.document == config().document
