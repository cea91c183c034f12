"""The everyday commands on a fake host: what they print, and what they refuse."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyxl.cli import app, host, vcpus, wiring, words
from pyxl.cli.domains import duration, state
from pyxl.errors import XenError
from pyxl.model import paths
from pyxl.model.domain import ShutdownReason, Vcpu
from pyxl.xen.topology import UNKNOWN, Cpu, Node
from tests.fakes.host import FakeStore, FakeXen, running, web1


class Topology:
    def cpus(self) -> list[Cpu]:
        return [Cpu(0, 0, 0), Cpu(UNKNOWN, UNKNOWN, UNKNOWN), Cpu(1, 0, 0)]

    def cpu_count(self) -> int:
        return 4

    def nodes(self) -> list[Node]:
        return [Node(0, 2 << 30, 1 << 30, [10, 20]), Node(1, 1 << 30, 0, [20, 10])]

    def pci_nodes(self, devices: list[tuple[int, int, int]]) -> list[int]:
        raise XenError("xc_pcitopoinfo", 38)

    def node_affinity(self, domid: int) -> list[int]:
        return [0, 1] if domid == 0 else [1]


class Host(FakeXen):
    """dom0 and web1."""

    topology = Topology()

    def security_label(self, domid: int) -> str:
        return "" if domid else "system_u"

    def vcpus(self, domid: int) -> list[Vcpu]:
        return [
            Vcpu(0, True, False, True, 1_550_000_000, 3, [0, 1, 2, 3], [0, 1, 2, 3]),
            Vcpu(1, False, False, False, 0, 0, [0, 2, 3], []),
        ]

    def physinfo(self) -> dict[str, Any]:
        return {"nr_cpus": 4, "cpu_khz": 2_095_003, "hw_cap": [1, 2, 3, 4, 5, 6, 7, 0xFEDCBA98], "total_pages": 1 << 18,
                "free_pages": 1 << 17, "outstanding_pages": 256, "cap_hvm": True, "cap_hvm_directio": True}  # fmt: skip

    def version_info(self) -> dict[str, Any]:
        return {"xen_version_major": 4, "xen_version_minor": 17, "xen_version_extra": ".7", "pagesize": 4096,
                "virt_start": -(1 << 47), "capabilities": "xen-3.0-x86_64 hvm-3.0-x86_64"}  # fmt: skip

    def scheduler(self) -> str:
        return "credit2"

    def free_cpus(self) -> int:
        return 0

    def xen_log(self, clear: bool) -> Iterator[bytes]:
        self.calls.append(f"xen_log {clear}")
        yield b"(XEN) one\n(XEN) \x1b[2Jt"
        yield b"wo\tthree \xff\n"


class Shown(list[str]):
    """The log's lines, and the host that a command opens."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.xen = Host(self.calls, running(0)._replace(running=True, blocked=False, cpu_time=12_340_000_000), running(7))
        self.store = FakeStore(web1() | {
            paths.pool_name(0): "Pool-0", paths.vm(7): "/vm/x", "/vm/x/start_time": "1000.07",
        })  # fmt: skip

    def log_to(self, name: str) -> Any:
        return lambda text: self.append(f"{name}: {text}")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(tmp_path))

    @contextmanager
    def on_host(command: str, verbose: bool) -> Iterator[Shown]:
        yield found

    monkeypatch.setattr(wiring, "on_host", on_host)
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    assert app.run(list(arguments)) == status
    output = capsys.readouterr()
    return (output.err if status else output.out).splitlines()


def test_list_has_xl_s_columns(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "list") == [
        "Name                                        ID   Mem VCPUs\tState\tTime(s)",
        "Domain-0                                     0     1     1     r-----      12.3",
        "web1                                         7     1     1     -b----       0.0",
    ]
    shown.xen.change(7, ShutdownReason.CRASH)
    assert said(capsys, "list", "-v", "-c", "-n", "web1") == [
        "Name                                        ID   Mem VCPUs\tState\tTime(s)"
        "   UUID                            Reason-Code\tSecurity Label         Cpupool NODE Affinity",
        "web1                                         7     1     1     -b-sc-       0.0"
        " 6b1d9b2e-0000-4000-8000-000000000001        3                -          Pool-0 1",
    ]
    assert said(capsys, "list", "-Z", "-n", "0")[1].endswith("      12.3         system_u all")


def test_list_as_json(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    [web1] = json.loads("\n".join(said(capsys, "list", "--json", "web1")))
    assert web1 == {
        "domid": 7, "name": "web1", "uuid": "6b1d9b2e-0000-4000-8000-000000000001", "type": "hvm", "memory": 1 << 20,
        "vcpus": 1, "state": "-b----", "shutdown_reason": None, "cpu_seconds": 0.0, "cpupool": "Pool-0",
    }  # fmt: skip
    [config] = json.loads("\n".join(said(capsys, "list", "-l", "7")))
    assert (config["domid"], config["config"]["c_info"]["name"]) == (7, "web1")
    shown.xen.fail = {"config_json"}
    assert said(capsys, "list", "-l") == ["[]"]


def test_a_name_cannot_command_the_terminal(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    shown.store.nodes[paths.name(7)] = "\x1b[2J"
    assert "\x1b" not in "".join(said(capsys, "list") + said(capsys, "vcpu-list") + said(capsys, "uptime"))


@pytest.mark.parametrize(
    ("reason", "text"), [(None, "------"), (0, "---s--"), (1, "---sr-"), (2, "---ss-"), (4, "---sw-"), (5, "---sS-"), (9, "---s?-")]
)
def test_state_says_why_a_domain_has_shut_down(reason: int | None, text: str) -> None:
    assert state(running()._replace(blocked=False, shutdown_reason=reason)) == text


def test_vcpu_list_has_xl_s_columns(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "vcpu-list", "web1") == [
        "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)",
        "web1                                 7     0    3   r--       1.6  all / all",
        "web1                                 7     1    -   --p       0.0  0,2-3 / none",
    ]
    assert len(said(capsys, "vcpu-list")) == 5
    assert list(vcpus.lines("x", 1, [], 4)) == []


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "none"), ([0, 1, 2, 3, 9], "all"), ([1, 2, 3], "1-3"), ([0, 2], "0,2"), ([0, 1, 3], "0-1,3"), ([5], "none")]
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert words.ranges(numbers, 4) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(59, " 0:00:59"), (3661, " 1:01:01"), (86400, "1 day,  0:00:00"), (200000, "2 days,  7:33:20")]
)
def test_durations(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_uptime(shown: Shown, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 4661.9)
    lines = said(capsys, "uptime")
    assert lines[0] == "Name                                ID Uptime"
    assert lines[1].startswith("Domain-0                             0 ")
    assert lines[2:] == ["web1                                 7  1:01:01"]
    [short] = said(capsys, "uptime", "-s", "web1")
    assert short.endswith(" up  1:01, web1 (7)")
    shown.store.remove(paths.vm(7))
    assert len(said(capsys, "uptime")) == 2


def test_info(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "info")
    for line in (
        "nr_cpus                : 4", "max_cpu_id             : 0", "cpu_mhz                : 2095.003",
        "hw_caps                : 00000001:00000002:00000003:00000004:00000005:00000006:00000007:fedcba98",
        "virt_caps              : hvm hvm_directio", "total_memory           : 1024", "free_memory            : 511",
        "outstanding_claims     : 1", "xen_version            : 4.17.7", "xen_scheduler          : credit2",
        "platform_params        : virt_start=0xffff800000000000", "build_id               : ",
    ):  # fmt: skip
        assert line in lines
    assert (lines[0].split(" ")[0], lines[-1]) == ("host", "xend_config_format     : 4")
    assert said(capsys, "info", "xen_m") == ["4", "17"]
    assert said(capsys, "info", "nothing") == []


def test_info_of_a_numa_host(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "info", "-n")
    at = lines.index("cpu_topology           :")
    assert lines[at + 1 :][:13] == [
        "cpu:    core    socket     node", "  0:       0        0        0", "  2:       1        0        0",
        "device topology        :", "device           node", "No device topology data available",
        "numa_info              :", "node:    memsize    memfree    distances",
        "   0:      2048       1024      10,20", "   1:      1024          0      20,10",
        "xen_major              : 4", "xen_minor              : 17", "xen_extra              : .7",
    ]  # fmt: skip
    assert host._address(Path("0000:3f:1f.7")) == (0, 0x3F, 0xFF)


def test_dmesg(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "dmesg", "-c") == ["(XEN) one", "(XEN) ?[2Jtwo\tthree \ufffd"]
    assert shown.calls == ["xen_log True"]


@pytest.mark.parametrize("command", ["shutdown", "reboot"])
def test_a_guest_or_all_of_them(shown: Shown, capsys: pytest.CaptureFixture[str], command: str) -> None:
    for arguments in ([], ["-a", "web1"]):
        assert said(capsys, command, *arguments, status=2)[0] == f"pyxl: {command} takes a domain, or -a for all guests"
    assert said(capsys, command, "0", status=1) == ["pyxl: domain 0 is this host's control domain, not a guest"]
    assert shown == []


def test_one_that_cannot_be_asked_is_told_and_not_waited_for(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    shown.xen.params[0] = 0
    assert said(capsys, "shutdown", "-a", "-w", status=1) == [
        'pyxl: shutdown 7 "web1": PV control interface not available: external graceful shutdown not possible',
        '      Use "-F" to fallback to ACPI power event.',
    ]


def test_rename_is_in_both_logs(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "rename", "web1", "web2") == []
    assert shown == [
        'web1: domain 7 is called "web2" from now on, and so is its log', 'web2: domain 7 was called "web1" until now',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trigger", "web1", "explode"], "'explode' is not one of"),
        (["trigger", "web1", "nmi", "one"], "'one' is not a valid integer"),
        (["sysrq", "web1", "sub"], 'a SysRq is one letter, and not "sub"'),
        (["sysrq", "web1", "\x1b"], 'a SysRq is one letter, and not "?"'),
        (["console", "-t", "vt100", "web1"], "'vt100' is not one of"),
        (["rename", "web1", "17"], '"17" cannot be the name of a guest'),
    ],
)
def test_wrong_arguments(shown: Shown, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in said(capsys, *arguments, status=2)[0]


def test_trigger_takes_xl_s_words(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "trigger", "web1", "NMI", "1") == []
    assert shown.calls == ["trigger 7 NMI 1"]
