"""The disk of the lab's dom0: a Debian root file system with Xen, and the test guests' files in it."""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

from pyxl.errors import LabError
from pyxl.lab import guestimage, recipe
from pyxl.lab.steps import Steps
from pyxl.lab.tools import run

# Nobody reads these in dom0, and they are a third of what has to be written.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

#: Each file of host/: its place in dom0, and its mode.
HOST_FILES = {
    "labinit": ("sbin/labinit", 0o755),
    "lab-network": ("usr/local/sbin/lab-network", 0o755),
    "lab-network.service": ("etc/systemd/system/lab-network.service", 0o644),
    "system.conf": ("etc/systemd/system.conf.d/lab.conf", 0o644),
    "sshd.conf": ("etc/ssh/sshd_config.d/lab.conf", 0o644),
    "guestctl": ("usr/local/bin/guestctl", 0o755),
    "vif-lab": ("etc/xen/scripts/vif-lab", 0o755),
}


def build_image(suite: recipe.Suite, target: Path, steps: Steps) -> None:
    """Build ``target``: disk.qcow2, xen, vmlinuz, initrd.img and the ssh key; whole or not at all.

    :raise LabError: we are not root, or a program failed; its log stays beside ``target``.
    """
    if os.geteuid() != 0:
        raise LabError("only root can build the lab's image", "run it as root: sudo pyxl lab up")
    target.parent.mkdir(parents=True, exist_ok=True)
    log = target.with_suffix(".log")
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as name:
        work = Path(name)
        work.chmod(0o755)
        root, image = work / "root", work / "image"
        image.mkdir()
        with steps.step(f"install Debian {suite.name} with Xen {suite.xen}", log):
            make_root(suite, root, work, log)
        with steps.step("build the test guests' kernel, initramfs and disks", log):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pyxl-lab", "-f", image / "key"], log)
            add_boot_files(root, image)
            add_files(root, image, work, log)
        with steps.step("write the disk", log):
            write_disk(root, image / "disk.qcow2", work, log)
        shutil.rmtree(target, ignore_errors=True)
        image.rename(target)


def make_root(suite: recipe.Suite, root: Path, work: Path, log: Path) -> None:
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(suite.packages)}"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    # mmdebstrap unpacks below TMPDIR; /tmp is often too small for that.
    run([*argv, suite.name, root], log, env={**os.environ, "TMPDIR": os.fspath(work)},
        hint=f"is the network reachable? all of its output: {log}")  # fmt: skip


def add_boot_files(root: Path, image: Path) -> None:
    release = guestimage.kernel_release(root)
    shutil.copyfile(root / f"boot/vmlinuz-{release}", image / "vmlinuz")
    shutil.copyfile(root / f"boot/initrd.img-{release}", image / "initrd.img")
    hypervisor = next((root / "boot").glob("xen-*-amd64.gz"))
    # QEMU's multiboot loader takes no compressed kernel.
    (image / "xen").write_bytes(gzip.decompress(hypervisor.read_bytes()))


def add_files(root: Path, image: Path, work: Path, log: Path) -> None:
    for name, (place, mode) in HOST_FILES.items():
        install(root / place, (recipe.HERE / "host" / name).read_bytes(), mode)
    wanted = root / "etc/systemd/system/multi-user.target.wants/lab-network.service"
    wanted.parent.mkdir(parents=True, exist_ok=True)
    wanted.symlink_to("../lab-network.service")
    install(root / "root/.ssh/authorized_keys", (image / "key.pub").read_bytes(), 0o600)
    (root / "root/.ssh").chmod(0o700)
    install(root / "etc/hostname", b"lab\n", 0o644)
    install(root / "etc/hosts", b"127.0.0.1 localhost lab\n", 0o644)
    files = root / recipe.GUEST_FILES.lstrip("/")
    files.mkdir(parents=True)
    initramfs = guestimage.build_initramfs(root, work, log)
    shutil.copyfile(image / "vmlinuz", files / "vmlinuz")
    shutil.copyfile(initramfs, files / "initrd")
    guestimage.build_boot_disk(files / "vmlinuz", files / "initrd", files / "bootdisk.raw", log)
    for guest in recipe.GUESTS:
        install(root / f"etc/xen/lab/{guest.name}.cfg", guest.config().encode(), 0o644)
        for disk in guest.disks:
            add_guest_disk(root / disk.path(guest.name).lstrip("/"), disk, work, log)


def add_guest_disk(path: Path, disk: recipe.Disk, work: Path, log: Path) -> None:
    raw = work / "guest-disk.raw"
    with raw.open("wb") as file:
        file.truncate(disk.mib << 20)
    run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", raw], log)
    run(["qemu-img", "convert", "-O", disk.format, raw, path], log)
    raw.unlink()


def write_disk(root: Path, disk: Path, work: Path, log: Path) -> None:
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(recipe.DISK_MIB << 20)
    run(["mkfs.ext4", "-q", "-F", "-L", "lab", "-E", "lazy_itable_init=1", "-d", root, raw], log)
    run(["qemu-img", "convert", "-O", "qcow2", raw, disk], log)


def install(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
