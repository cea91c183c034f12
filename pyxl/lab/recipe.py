"""The parts of the lab as data: packages, command lines, guests, and one hash of them all.

Starts no process and reads no files but the lab's sources.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pyxl.errors import LabError

HERE = Path(__file__).parent

# The Debian package of each program that the lab's machine needs.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "cpio": "cpio",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "syslinux": "syslinux",
    "mcopy": "mtools",
    "mkfs.fat": "dosfstools",
}
FIRMWARE = {"/usr/share/seabios/bios-256k.bin": "seabios"}

COMMON_PACKAGES = (
    "linux-image-amd64", "xenstore-utils", "qemu-system-xen",
    "python3", "python3-click", "python3-pyxs", "python3-zstandard", "python3-xxhash", "python3-rich", "python3-numpy",
    "busybox-static", "iproute2", "kmod", "udev", "openssh-server", "procps", "e2fsprogs", "zstd", "cpio",
    "systemd-sysv", "dbus", "man-db", "bash-completion", "qemu-utils", "lvm2", "thin-provisioning-tools", "xfsprogs",
)  # fmt: skip

MEMORY_MIB = 4096
DISK_MIB = 12288
XEN_ARGUMENTS = (
    "dom0_mem=1536M,max:1536M dom0_max_vcpus=2 console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all noreboot"
)
DOM0_ARGUMENTS = "root=/dev/vda rw console=hvc0 quiet mitigations=off nokaslr"
LAB_INIT = "init=/sbin/labinit"  # in the place of systemd
# quiet: each character on an emulated serial port is a trip to the device model, and a boot prints thousands.
# xen_legacy_crash: a panic of a guest with PV drivers reaches Xen as a crash; without it Linux reboots.
# pci=noearly: an early look for bridges reads the configuration of every device that might be, each read a trip to the
# device model; 10 s of a boot.  cryptomgr.notests: 2 s of it.
GUEST_ARGUMENTS = (
    "console=ttyS0 quiet mitigations=off nokaslr nohpet pci=noearly cryptomgr.notests panic=-1 xen_legacy_crash"
)
# No xsave: with it Xen 4.17 faults forever when it sets CR4.  No rdtscp: the emulator reports a wrong exit for
# RDTSCP, and the guest spins.
EMULATED_CPU = "qemu64,+svm,+npt,+nx,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes"

SNAPSHOT = "ready"
QEMU = "qemu-system-x86_64"
SOCKET = "qmp.sock"  # the monitor's, in the instance's directory
GUEST_FILES = "/var/lib/pyxl-lab"  # in dom0: vmlinuz, initrd, bootdisk.raw and the guests' disks

# A guest out of its checkpoint is there in seconds, where a boot takes half a minute or more.
SAVED_GUEST = "tick"
SAVED_GUEST_FILE = f"{GUEST_FILES}/{SAVED_GUEST}.checkpoint"

# Modules of the guests' initramfs, by the kind of disk that a guest finds.
GUEST_MODULES = {
    "pv": ("xen-blkfront",), "ata": ("ata_piix", "sd_mod"), "net": ("e1000",), "ext4": ("ext4", "crc32c_generic"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suite:
    """A Debian release and its Xen."""

    name: str
    xen: str
    python: tuple[int, int]

    @property
    def packages(self) -> tuple[str, ...]:
        return (*COMMON_PACKAGES, f"xen-hypervisor-{self.xen}-amd64", f"xen-utils-{self.xen}")


SUITES = {
    "bookworm": Suite("bookworm", "4.17", (3, 11)),
    "trixie": Suite("trixie", "4.20", (3, 13)),
}
DEFAULT_SUITE = "bookworm"


@dataclass(frozen=True, slots=True)
class Disk:
    """A guest's disk, raw or qcow2, with an ext4 that the build makes."""

    device: str
    format: str
    mib: int = 64

    def path(self, guest: str) -> str:
        return f"{GUEST_FILES}/{guest}-{self.device}.{self.format}"


@dataclass(frozen=True, slots=True)
class Guest:
    """A test guest; ``memory``, ``data`` (random, hashed at each tick) and ``fill`` (hashed on request) in MiB."""

    name: str
    memory: int = 128
    vcpus: int = 1
    data: int = 4
    fill: int = 0
    arguments: str = ""
    disks: tuple[Disk, ...] = ()
    nic: bool = False
    vga: str = "none"

    def config(self) -> str:
        """Return the guest's xl.cfg."""
        extra = f"{GUEST_ARGUMENTS} labdata={self.data} labfill={self.fill} {self.arguments}".rstrip()
        disks = ", ".join(f"'format={d.format}, vdev={d.device}, access=rw, target={d.path(self.name)}'"
                          for d in self.disks)  # fmt: skip
        lines = [
            'type = "hvm"',
            f'name = "{self.name}"',
            f"memory = {self.memory}",
            f"vcpus = {self.vcpus}",
            f'kernel = "{GUEST_FILES}/vmlinuz"',
            f'ramdisk = "{GUEST_FILES}/initrd"',
            f'cmdline = "{extra}"',
            'serial = "pty"',
            'tsc_mode = "native"',
            f'vga = "{self.vga}"',
            f"vnc = {int(self.vga != 'none')}",
        ]
        if self.disks:
            lines.append(f"disk = [{disks}]")
        if self.nic:
            lines.append('vif = ["bridge=xenbr0, script=vif-lab"]')
        return "\n".join(lines) + "\n"


GUESTS = (
    Guest("tick"),
    Guest("big", memory=512, data=8, fill=24),
    Guest("disk", memory=192, vcpus=2, disks=(Disk("hda", "raw"), Disk("hdb", "qcow2")), nic=True, vga="stdvga"),
    Guest("plain", arguments="xen_nopv"),
)


def suite(name: str) -> Suite:
    """Return the suite called ``name``.

    :raise LabError: there is no recipe for it.
    """
    if name not in SUITES:
        raise LabError(f"no lab recipe for suite {name!r}", f"known suites: {', '.join(SUITES)}")
    return SUITES[name]


def quoted(path: Path) -> str:
    """Return ``path`` for an option of QEMU, where a comma must be doubled."""
    return os.fspath(path).replace(",", ",,")


def command_line(
    directory: Path, disk: Path, port: int, *, kvm: bool, snapshot: str = "", stock: bool = False
) -> list[str]:
    """Return QEMU's arguments for an instance in ``directory``, where it must start.

    A ``stock`` host has systemd, and what it has synced to its disk is still there when the emulator was killed.

    The paths of the boot files and of the monitor's socket are relative, whatever the cache directory is called: the
    former may hold no space or comma, the latter at most 107 bytes.
    """
    dom0 = DOM0_ARGUMENTS if stock else f"{DOM0_ARGUMENTS} {LAB_INIT}"
    argv = [
        QEMU, "-name", "pyxl-lab",
        "-nodefaults", "-display", "none", "-no-reboot", "-daemonize",
        "-machine", "q35",
        "-smp", "2", "-m", str(MEMORY_MIB),
        "-kernel", "xen", "-append", XEN_ARGUMENTS,
        "-initrd", f"vmlinuz {dom0},initrd.img",
        "-drive", f"file={quoted(disk)},if=virtio,format=qcow2,cache={'writeback' if stock else 'unsafe'}",
        # restrict: dom0 needs no network; the forwarded port still works.
        "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "virtio-net-pci,netdev=net0,romfile=",
        "-serial", f"file:{quoted(directory / 'serial.log')}",
        "-monitor", "none", "-qmp", f"unix:{SOCKET},server=on,wait=off",
        "-pidfile", os.fspath(directory / "qemu.pid"),
    ]  # fmt: skip
    argv += ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU]
    return [*argv, "-loadvm", snapshot] if snapshot else argv


def image_hash(chosen: Suite, here: Path = HERE) -> str:
    """Return a hash of all that decides the image and its snapshot, except updates of Debian's packages."""
    digest = hashlib.sha256()
    data = {
        "suite": asdict(chosen), "packages": chosen.packages, "disk": DISK_MIB,
        "qemu": command_line(Path("instance"), Path("disk"), 0, kvm=False),
        "guests": [guest.config() for guest in GUESTS],
        "disks": [asdict(disk) for guest in GUESTS for disk in guest.disks],
        "modules": GUEST_MODULES, "snapshot": SNAPSHOT, "saved": SAVED_GUEST_FILE,
    }  # fmt: skip
    digest.update(json.dumps(data, sort_keys=True).encode())
    files = [here / "image.py", here / "guestimage.py", here / "snapshot.py"]
    for part in ("host", "guest"):
        files += sorted(path for path in (here / part).iterdir() if path.is_file())
    for path in files:
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
