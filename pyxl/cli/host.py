"""The commands about the host: info, dmesg."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pyxl.cli import wiring
from pyxl.cli.words import printable
from pyxl.errors import PyxlError

_PCI_DEVICES = Path("/sys/bus/pci/devices")
_UNKNOWN = 0xFFFFFFFF
_64_BITS = (1 << 64) - 1
#: What xl calls libxl_physinfo's capabilities, each with the members that must be true.
_CAPABILITIES = (
    ("pv", ("cap_pv",)), ("hvm", ("cap_hvm",)), ("hvm_directio", ("cap_hvm", "cap_hvm_directio")),
    ("pv_directio", ("cap_pv", "cap_hvm_directio")), ("hap", ("cap_hap",)), ("shadow", ("cap_shadow",)),
    ("iommu_hap_pt_share", ("cap_iommu_hap_pt_share",)), ("vmtrace", ("cap_vmtrace",)), ("vpmu", ("cap_vpmu",)),
    ("gnttab-v1", ("cap_gnttab_v1",)), ("gnttab-v2", ("cap_gnttab_v2",)),
)  # fmt: skip


@click.command("info", short_help="Print what this host is.")
@click.option("-n", "--numa", is_flag=True, help="Also its CPUs, PCI devices and NUMA nodes.")
@click.argument("field", required=False)
@click.pass_obj
def info_command(verbose: bool, numa: bool, field: str | None) -> None:
    """Print what this host and its hypervisor are, as xl does; with FIELD the values of those whose names begin so.

    \b
    Example:
        pyxl info free_memory
    """
    with wiring.on_host("info", verbose) as host:
        version = host.xen.version_info()
        lines = [*_node(), *_machine(host.xen.physinfo(), int(version["pagesize"]), host.xen.free_cpus())]
        if numa:
            lines += _topology(host)
        lines += [*_hypervisor(version, host.xen.scheduler()), ("xend_config_format", "4")]
    for name, value in lines:
        if field is None or numa:
            click.echo(printable(f"{name:22} : {value}") if name else value)
        elif name.startswith(field):
            click.echo(printable(value))


def _node() -> Iterator[tuple[str, str]]:
    name = os.uname()
    yield from (("host", name.nodename), ("release", name.release))
    yield from (("version", name.version), ("machine", name.machine))


def _machine(info: dict[str, Any], page: int, free_cpus: int) -> Iterator[tuple[str, str]]:
    """Yield what libxl_physinfo has; libxl's JSON leaves out what is 0."""
    pages, khz = (1 << 20) // page, info.get("cpu_khz", 0)
    for name in ("nr_cpus", "max_cpu_id", "nr_nodes", "cores_per_socket", "threads_per_core"):
        yield name, str(info.get(name, 0))
    yield "cpu_mhz", f"{khz // 1000}.{khz % 1000:03d}"
    yield "hw_caps", ":".join(f"{word:08x}" for word in info["hw_cap"])
    yield "virt_caps", " ".join(name for name, needed in _CAPABILITIES if all(info.get(member) for member in needed))
    outstanding = info.get("outstanding_pages", 0)
    yield "total_memory", str(info.get("total_pages", 0) // pages)
    yield "free_memory", str((info.get("free_pages", 0) - outstanding) // pages)
    yield "sharing_freed_memory", str(info.get("sharing_freed_pages", 0) // pages)
    yield "sharing_used_memory", str(info.get("sharing_used_frames", 0) // pages)
    yield "outstanding_claims", str(outstanding // pages)
    yield "free_cpus", str(free_cpus)


def _hypervisor(info: dict[str, Any], scheduler: str) -> Iterator[tuple[str, str]]:
    major, minor, extra = (info.get(f"xen_version_{part}", 0) for part in ("major", "minor", "extra"))
    yield from (("xen_major", str(major)), ("xen_minor", str(minor)), ("xen_extra", extra or ""))
    yield "xen_version", f"{major}.{minor}{extra or ''}"
    yield "xen_caps", info.get("capabilities") or ""
    yield "xen_scheduler", scheduler
    yield "xen_pagesize", str(info["pagesize"])
    yield "platform_params", f"virt_start={info.get('virt_start', 0) & _64_BITS:#x}"
    yield "xen_changeset", info.get("changeset") or ""
    yield "xen_commandline", info.get("commandline") or ""
    for name, member in (
        ("cc_compiler", "compiler"), ("cc_compile_by", "compile_by"), ("cc_compile_domain", "compile_domain"),
        ("cc_compile_date", "compile_date"), ("build_id", "build_id"),
    ):  # fmt: skip
        yield name, info.get(member) or ""


def _topology(host: wiring.Host) -> Iterator[tuple[str, str]]:
    """Yield whole lines, which have no name: of CPUs, PCI devices and NUMA nodes."""
    yield "", "cpu_topology           :"
    yield "", "cpu:    core    socket     node"
    for number, cpu in enumerate(host.xen.topology.cpus()):
        if cpu.core != _UNKNOWN:
            yield "", f"{number:3d}:    {cpu.core:4d}     {cpu.socket:4d}     {cpu.node:4d}"
    yield "", "device topology        :"
    yield "", "device           node"
    devices = sorted(map(_address, _PCI_DEVICES.iterdir())) if _PCI_DEVICES.is_dir() else []
    try:
        nodes = host.xen.topology.pci_nodes(devices) if devices else []
    except PyxlError:  # a Xen without this question
        nodes = [_UNKNOWN] * len(devices)
    for (segment, bus, devfn), node in zip(devices, nodes, strict=True):
        if node != _UNKNOWN:
            yield "", f"{segment:04x}:{bus:02x}:{devfn >> 3:02x}.{devfn & 7:01x}      {node}"
    if all(node == _UNKNOWN for node in nodes):
        yield "", "No device topology data available"
    yield "", "numa_info              :"
    yield "", "node:    memsize    memfree    distances"
    for each in host.xen.topology.nodes():
        distances = ",".join(map(str, each.distances))
        yield "", f"{each.number:4d}:    {each.size >> 20:6d}     {each.free >> 20:6d}      {distances}"


def _address(device: Path) -> tuple[int, int, int]:
    """Return segment, bus and devfn of a PCI device, whose directory is called 0000:00:1f.3."""
    segment, bus, rest = device.name.split(":")
    slot, function = rest.split(".")
    return int(segment, 16), int(bus, 16), int(slot, 16) << 3 | int(function, 16)


@click.command("dmesg", short_help="Print the hypervisor's log.")
@click.option("-c", "--clear", is_flag=True, help="Empty it afterwards.")
@click.pass_obj
def dmesg_command(verbose: bool, clear: bool) -> None:
    """Print the hypervisor's log; what would command a terminal is shown as a question mark, since guests write to it.

    \b
    Example:
        pyxl dmesg
    """
    with wiring.on_host("dmesg", verbose) as host:
        text = b"".join(host.xen.xen_log(clear)).decode(errors="replace")
    for line in text.splitlines():
        click.echo("\t".join(map(printable, line.split("\t"))))
