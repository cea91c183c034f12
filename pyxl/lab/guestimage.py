"""The test guests' own parts: an initramfs from Debian's kernel and busybox, and a disk with a boot loader."""

import gzip
import lzma
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path

from pyxl.errors import LabError
from pyxl.lab import recipe
from pyxl.lab.tools import run

SECTOR = 512
BOOT_DISK_MIB = 64
PARTITION_START = 2048  # in sectors: what every partitioning tool does
SYSLINUX_MBR = (Path("/usr/lib/syslinux/mbr/mbr.bin"), Path("/usr/lib/SYSLINUX/mbr.bin"))


def kernel_release(root: Path) -> str:
    """Release of the one kernel installed in ``root``.

    :raise LabError: there is none.
    """
    releases = sorted(path.name for path in (root / "usr/lib/modules").iterdir())
    if not releases:
        raise LabError("the image has no kernel")
    return releases[-1]


def module_files(root: Path, release: str, names: Iterable[str]) -> list[Path]:
    """The files of the modules ``names`` and of what they depend on, in the order in which to insert them.

    Reads depmod's own table: the machine that builds the image may have no kmod.

    :raise LabError: the kernel has no such module.
    """
    modules = root / "usr/lib/modules" / release
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, rest = line.partition(":")
        needs[file] = rest.split()
    by_name = {Path(file).name.split(".ko")[0].replace("-", "_"): file for file in needs}
    builtin = (modules / "modules.builtin").read_text()
    files: list[Path] = []
    for name in names:
        file = by_name.get(name.replace("-", "_"), "")
        if not file and f"/{name}.ko\n" in builtin:
            continue
        if not file:
            raise LabError(f"kernel {release} has no module {name}")
        # depmod lists the nearest first; the farthest has to be inserted first.
        for each in [*reversed(needs[file]), file]:
            if modules / each not in files:
                files.append(modules / each)
    return files


def build_initramfs(root: Path, work: Path, log: Path) -> Path:
    """Build the guests' initramfs from the busybox and the modules of ``root``; returns its path under ``work``.

    It is compressed: a guest's firmware reads a kernel and initramfs byte by byte through a port, 0.6 MB a second.
    """
    tree = work / "guest"
    for directory in ("bin", "dev", "proc", "sys", "lib/modules"):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    shutil.copy2(next(root / place for place in ("usr/bin/busybox", "bin/busybox") if (root / place).exists()),
                 tree / "bin/busybox")  # fmt: skip
    (tree / "bin/sh").symlink_to("busybox")
    shutil.copy2(recipe.HERE / "guest/init", tree / "init")
    (tree / "init").chmod(0o755)
    release = kernel_release(root)
    for kind, modules in recipe.GUEST_MODULES.items():
        order = []
        for file in module_files(root, release, modules):
            target = tree / "lib/modules" / file.name.removesuffix(".xz")
            # busybox's insmod hands the kernel plain modules only.
            target.write_bytes(lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes())
            order.append(target.name)
        (tree / f"lib/modules/{kind}.order").write_text("".join(f"{name}\n" for name in order))
    names = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))) + "\n"
    archive = work / "guest-initrd.cpio"
    run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-O", archive], log, cwd=tree, stdin=names.encode())
    packed = work / "guest-initrd"
    packed.write_bytes(gzip.compress(archive.read_bytes(), mtime=0))
    return packed


def build_boot_disk(kernel: Path, initramfs: Path, disk: Path, log: Path) -> None:
    """Build a raw disk that boots by itself: MBR, one FAT partition, syslinux, the guests' kernel and initramfs.

    Needs no loop device: every tool here writes at an offset of a plain file.
    """
    sectors = BOOT_DISK_MIB * 2048
    loader = next((path for path in SYSLINUX_MBR if path.exists()), None)
    if loader is None:
        raise LabError("syslinux has no mbr.bin", "install the packages syslinux and syslinux-common")
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x0E, b"\xfe\xff\xff",
                        PARTITION_START, sectors - PARTITION_START)  # fmt: skip
    with disk.open("wb") as file:
        file.write(loader.read_bytes()[:440].ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa")
        file.truncate(sectors * SECTOR)
    kib = (sectors - PARTITION_START) // 2
    run(["mkfs.fat", "-F", "16", "-n", "LABBOOT", f"--offset={PARTITION_START}", disk, str(kib)], log)
    config = disk.with_suffix(".cfg")
    config.write_text(
        "SERIAL 0 115200\nDEFAULT lab\nPROMPT 0\nTIMEOUT 1\nLABEL lab\n"
        f"  KERNEL vmlinuz\n  APPEND initrd=initrd {recipe.GUEST_ARGUMENTS} labdata=4\n"
    )
    image = f"{disk}@@{PARTITION_START * SECTOR}"
    for source, name in ((kernel, "vmlinuz"), (initramfs, "initrd"), (config, "syslinux.cfg")):
        run(["mcopy", "-i", image, source, f"::{name}"], log)
    config.unlink()
    run(["syslinux", "--offset", str(PARTITION_START * SECTOR), "--install", disk], log)
