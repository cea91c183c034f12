"""Names in an xl.cfg that no option has: words of other toolstacks, slips of the pen, and notes of whoever wrote it.

Follows what xl does, which is to ignore them all, except that a slip is refused: the guest would be another one.
"""

from __future__ import annotations

from collections import Counter

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Collection

#: Options of xm's time, and words that generators leave in their files -> what to write today; "" is nothing.
LEFT_OVER = {
    "acpi_s5": "", "arch": "", "audio": "soundhw", "autostart": "a link in /etc/xen/auto", "backend": "backend= in vif",
    "bootargs": "bootloader_args", "bootentry": "bootloader_args", "broadcast": "cmdline", "cdrom": "cdrom in disk",
    "console": "serial", "cpu": "cpus", "cpu_cap": "cap", "cpuid_check": "", "description": "a comment",
    "device_model_chroot": "dm_restrict", "dhcp": "cmdline", "dist": "", "disks": "disk", "dtb": "device_tree",
    "fda": "device_model_args", "fdb": "device_model_args", "features": "", "gateway": "cmdline",
    "graphics": "vnc, sdl or spice", "guest_os_type": "", "hostname": "cmdline", "interface": "cmdline",
    "iommu": "passthrough", "ip": "cmdline, or ip= in vif", "isa": "", "keyboard": "keymap", "loader": "kernel",
    "mac": "mac= in vif", "machine_address_size": "", "max_memory": "maxmem", "maxcpus": "maxvcpus",
    "monitor": "device_model_args", "ne2000": "model=ne2k_pci in vif", "netmask": "cmdline", "nfs_root": "root",
    "nfs_server": "root", "nics": "vif", "notes": "a comment", "on_shutdown": "on_poweroff",
    "on_xend_start": "a link in /etc/xen/auto", "on_xend_stop": "xendomains' own settings", "os_name": "",
    "ostype": "", "parallel": "device_model_args", "paused": "pyxl create -p", "platform": "",
    "qemu_env": "device_model_override", "restart": "on_reboot", "shadow": "shadow_memory", "snapshot": "",
    "sound": "soundhw", "superpages": "", "suppress_spurious_page_faults": "", "tsc_native": "tsc_mode",
    "uefi": "bios", "vcpu": "vcpus", "vcpu_avail": "vcpus and maxvcpus", "vhpt": "", "vifname": "vifname= in vif",
    "vncconsole": "", "vncport": "vncdisplay", "vscsi": "",
}  # fmt: skip
#: Shorter names have neighbours by chance.
SHORTEST = 4
#: From this length on, there may be two mistakes, if one of them is a swap: `vcupz`, but not `boot_order`.
LONG = 5


def slip(name: str, known: Collection[str]) -> str:
    """Return the known name that ``name`` is a slip for, or an empty string."""
    if len(name) < SHORTEST or name.rstrip("0123456789") in known:
        return ""
    most = 2 if len(name) >= LONG else 1
    near = [(distance, other) for other in known if other[0] == name[0] and _other_letters(name, other) <= 1
            and (distance := _distance(name, other)) <= most]  # fmt: skip
    return min(near)[1] if near else ""


def _other_letters(one: str, other: str) -> int:
    """Return how many letters of either are not in the other, wherever they stand."""
    left, right = Counter(one), Counter(other)
    return max((left - right).total(), (right - left).total())


def _distance(one: str, other: str) -> int:
    """Return how many letters must be put in, taken out, replaced, or swapped with the next to make one the other."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        this = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, this[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            this.append(cost)
        before, last = last, this
    return last[-1]
