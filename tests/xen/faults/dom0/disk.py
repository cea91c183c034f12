"""An ext4 on device-mapper over a loop device, whose sectors can all be made to fail."""

import fcntl
import os
import struct
import subprocess
import time

from tests.xen.faults.dom0.places import HOME

MIB = 400
IMAGE = HOME / "failing.img"
MOUNT = HOME / "failing"
_CREATE, _SUSPEND, _LOAD = 3, 6, 9
_SUSPENDED, _SKIP_LOCKFS, _NOFLUSH = 2, 1 << 10, 1 << 11


class FailingDisk:
    """The disk, mounted; it is made if there is none."""

    def __init__(self) -> None:
        if not IMAGE.exists():
            IMAGE.touch()
            os.truncate(IMAGE, MIB << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", IMAGE], check=True)
        said = subprocess.run(["losetup", "-j", IMAGE, "-O", "NAME", "-n"], stdout=subprocess.PIPE, check=True).stdout
        if not said.strip():
            subprocess.run(["modprobe", "dm-mod"], check=True)
            said = subprocess.run(["losetup", "-f", "--show", IMAGE], stdout=subprocess.PIPE, check=True).stdout
            _ioctl(_CREATE)
        self._loop = said.decode().split()[0]
        self.node = f"dm-{self._load('linear', self._loop + ' 0') & 0xFF}"
        self._mount()

    def fail(self) -> None:
        """Let all reads and writes fail from now on."""
        self._load("error", "")

    def heal(self) -> None:
        """Bring the disk back as after a repair: mount it again, which replays its journal."""
        self._load("linear", self._loop + " 0")
        for _ in range(50):
            if subprocess.run(["umount", MOUNT], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.2)
        self._mount()

    def _mount(self) -> None:
        MOUNT.mkdir(exist_ok=True)
        if not os.path.ismount(MOUNT):
            subprocess.run(["mount", "-o", "errors=remount-ro", f"/dev/{self.node}", MOUNT], check=True)

    def _load(self, target: str, parameters: str) -> int:
        spec = struct.pack("=QQiI16s", 0, MIB << 11, 0, 0, target.encode()) + parameters.encode() + b"\0"
        _ioctl(_LOAD, spec + bytes(-len(spec) % 8))
        _ioctl(_SUSPEND, flags=_SUSPENDED | _SKIP_LOCKFS | _NOFLUSH)
        return _ioctl(_SUSPEND)


def _ioctl(command: int, data: bytes = b"", flags: int = 0) -> int:
    """Make one device-mapper call and return the device's number."""
    head = struct.pack("=IIIIIIiIIIQ128s129s7x", 4, 0, 0, 312 + len(data), 312, 1 if data else 0, 0, flags, 0, 0, 0,
                       b"faults", b"")  # fmt: skip
    buffer = bytearray(head + data)
    with open("/dev/mapper/control", "rb+", buffering=0) as control:
        fcntl.ioctl(control, 3 << 30 | 312 << 16 | 0xFD << 8 | command, buffer)
    return int(struct.unpack_from("=Q", buffer, 40)[0])
