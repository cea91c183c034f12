"""Specifications at random, right and wrong: what each option with a language of its own can say."""

from collections.abc import Callable
from random import Random

from pyxl.formats.xlcfg import options, pv_devices
from pyxl.formats.xlcfg.cpu_features import FEATURES, FIELDS, MSR_FEATURES
from pyxl.formats.xlcfg.disk import BACKENDS, FORMATS
from pyxl.formats.xlcfg.options import HVM, PV, PVH

NUMBERS = ("0", "1", "2", "3", "7", "15", "31", "255", "256", "4096", "0x1f", "010", "08", " 4", "4 ", "-1", "+5", "x", "", "4294967295", "4294967296")
ALL = (HVM, PV, PVH)


def one(random: Random, *choices: str) -> str:
    return random.choice(choices)


def some(random: Random, choices: tuple[str, ...], most: int, between: str = ",") -> str:
    return between.join(random.choice(choices) for _ in range(random.randint(0, most)))


def spec_list(option: str, *specs: str) -> str:
    """Return the setting of a list of strings; what would end or escape one is left out."""
    return f"{option}=[" + ", ".join('"' + spec.replace("\\", "").replace('"', "") + '"' for spec in specs) + "]"


def disk(random: Random) -> str:
    target = one(random, "/dev/vg/lv", "/a.img", "", "phy:/dev/x", "file:/a", "tap:aio:/a", "tap2:qcow2:/a b", "iscsi:iqn.2001-05.com:x", "/é")
    vdev = one(random, "hda", "xvda", "sda", "hdc:cdrom", "xvda1:disk", "hda:floppy", "", " hdb")
    access = one(random, "w", "r", "rw", "ro", "", "x")
    form = one(random, *FORMATS, "", "", "weird")
    if random.random() < 0.5:
        text = one(random, f"{target},{vdev},{access}", f"{target},{form},{vdev},{access}", f"{target},{form},{vdev}")
        return spec_list("disk", text + "," * random.randint(0, 1) + some(random, DISK_FLAGS, 2))
    words = [f"format={form}", f"vdev={vdev}", f"access={access}", *some(random, DISK_FLAGS, 2).split(",")]
    random.shuffle(words)
    return spec_list("disk", one(random, ", ", ",").join([*words[: random.randint(1, len(words))], f"target={target}"]))


DISK_FLAGS = (
    "cdrom", "devtype=cdrom", "devtype=disk", "direct-io-safe", "discard", "no-discard", "trusted", "untrusted", "script=block-x",
    "backend=dom", "specification=xen", "specification=virtio", *(f"backendtype={name}" for name in BACKENDS), "raw", "zz=1",
    "colo", "no-colo", "colo-host=h", "active-disk",
)  # fmt: skip


def vif(random: Random) -> str:
    octets = [one(random, "00", "16", "3e", "A", "ff", "f") for _ in range(random.choice((6, 6, 6, 6, 5, 7)))]
    mac = one(random, ":", ":", "-", ".", " ").join(octets) + one(random, "", "", " ")
    words = (
        f"mac={mac}", "bridge=xenbr0", "bridge= br 1 ", "type=ioemu", "type=vif", "type=netfront", "model=e1000", "ip=10.0.0.1 10.0.0.2",
        "script=vif-route", "backend=net", "vifname=v0", "gatewaydev=eth0", "netdev=eth1", "mtu=9000", "mtu= 5 ", "devid=3",
        "rate=10Mb/s", "rate=1MB/s@20ms", "rate=0B/s", "rate=5", "trusted", "untrusted", "", "vlan=5", "zz", "bridge=a=b", "model=", "accel=1", "accel", "forwarddev=e", "forwarddev",
    )  # fmt: skip
    return spec_list("vif", some(random, words, 4, one(random, ",", ", ")))


def vfb(random: Random) -> str:
    words = (
        "type=vnc", "type=sdl", "vnc=1", "vnc=0", "vnc=yes", "vncdisplay=3", "vncdisplay=-1", "vnclisten=0.0.0.0", "vnclisten=a:5", "vncpasswd=",
        "vncpasswd=s", "vncunused=1", "vncunused=", "keymap=de", "sdl=1", "opengl=0", "display=:0", "xauthority=/x", "zzzz=1", "zz", "", "keymap=a=b",
    )  # fmt: skip
    return spec_list("vfb", some(random, words, 5, one(random, ",", ", ")))


def cpus(random: Random) -> str:
    words = ("0", "1", "7", "0-3", "2-", "3-1", "^1", "^0-2", "all", "node:0", "nodes:1-2", "^nodes:0", "^node:3", "all,^0", "100", " 2", "5-90",
             "nodes:all", "x", "^all", "")  # fmt: skip
    text = some(random, words, 4)
    return f"vcpus={random.randint(1, 3)}\ncpus=" + one(random, f'"{text}"', f'["{text}"]', f'["{text}", "0"]')


def viridian(random: Random) -> str:
    words = (*options.VIRIDIAN, "defaults", "all", "base", "freq", "stimer", "BASE", "zz", "")
    return spec_list("viridian", *(one(random, "", "", "!") + one(random, *words) for _ in range(random.randint(0, 5))))


def cpuid_names(random: Random) -> str:
    """`host,NAME=VALUE,…`, as libxl has it."""
    names = (*FEATURES, *FIELDS, *FIELDS, *MSR_FEATURES, "zz", "HTT", " htt", "")
    values = ("0", "0", "1", "1", "x", "k", "s", "h", "kk", *NUMBERS)
    words = [one(random, *names) + one(random, "=", "=", "=", "=", "", " = ") + one(random, *values) for _ in range(random.randint(0, 6))]
    return 'cpuid="' + one(random, ",", ",", ",,", ", ").join([one(random, "host", "host", "host", "host", "", " host", "hosts"), *words]) + '"'


def cpuid_registers(random: Random) -> str:
    """`LEAF[,SUBLEAF]:REGISTER=POLICY,…`, as xend had it."""

    def policy() -> str:
        return "".join(random.choices("01xks" + one(random, "", "", "-h2"), k=random.choice((32, 32, 32, 32, 31, 33, 0))))

    def line() -> str:
        leaf = one(random, "0", "1", "1", "7", "0xd", "0x80000001", "0x80000008", *NUMBERS) + one(random, "", "", ",0", ",1", ",", ",x", ",-1")
        registers = [one(random, "eax", "ebx", "ecx", "edx", "edx", "EAX", "ax", "eaxx", " ecx") + one(random, "=", "=", "=", "", "==") + policy()
                     for _ in range(random.randint(0, 4))]  # fmt: skip
        return leaf + one(random, ":", ":", ":", "", "=") + one(random, ",", ",", ", ", ",\\n").join(registers)

    if random.random() < 0.1:
        return f'cpuid="{line()}"'
    return "cpuid=[" + ", ".join(f'"{line()}"' for _ in range(random.randint(0, 3))) + "]"


def pci(random: Random) -> str:
    """Devices by address, by `bdf=` and by name."""

    def address() -> str:
        domain = one(random, "", "", "0000:", "0001:", "ffff:", "10000:", "0x0:", " 0:")
        bus, device = one(random, "00", "1", "0a", "FF", "100", "0x2", ""), one(random, "00", "1b", "1f", "20", "3", "")
        return f"{domain}{bus}{one(random, ':', ':', ':', '.')}{device}{one(random, '.', '.', '.', '.', '', ':')}{one(random, '0', '0', '7', '8', '*', '', '1x')}"

    def device() -> str:
        words = [
            f"bdf={address()}", f"name={one(random, 'nic', '', 'a b')}", f"rdm_policy={one(random, 'strict', 'relaxed', 'STRICT', 'invalid', 'x', '')}",
            *(f"{key}={one(random, *NUMBERS)}" for key in ("msitranslate", "power_mgmt", "permissive", "seize", "vslot", "zz")), "permissive", "", " seize=1",
        ]  # fmt: skip
        beginning = [address() + one(random, "", "", "", "@5", "@1f", "@20", "@", "=")] if random.random() < 0.7 else []
        return one(random, ",", ",", ", ").join([*beginning, *random.choices(words, k=random.choice((0, 0, 1, 1, 2, 3)))])

    common = "".join(f"{name}={one(random, '0', '1', '2')}\n" for name in ("pci_msitranslate", "pci_permissive", "pci_seize") if random.random() < 0.2)
    return common + spec_list("pci", *(device() for _ in range(random.choice((0, 1, 1, 1, 2)))))


def device(random: Random) -> str:
    """A list of `key=value,…`: controllers, USB devices, keyboards, channels, file systems, displays."""
    option = one(random, *pv_devices.DEVICES, "usbctrl", "usbdev", "channel", "channel")
    keys = pv_devices.DEVICES[option][1]

    def value(kind: str | tuple[str, ...]) -> str:
        if isinstance(kind, tuple):
            return one(random, *kind, *kind, *(name.upper() for name in kind), "zz", "")
        if kind == pv_devices.CONNECTORS:
            return ";".join(one(random, "1:640x480", "a:0x0", "a:5x", "b:x5", ":1x1", "c", "") for _ in range(random.randint(0, 2)))
        if kind == pv_devices.ID:
            return one(random, "6b1d9b2e-0000-4000-8000-000000000001", "6B1D9B2E-0000-4000-8000-00000000000F", "5", "")
        return one(random, "a", "b c", " d ", "", "e=f", "/tmp/g") if kind == pv_devices.TEXT else one(random, *NUMBERS)

    def spec() -> str:
        # Most that would be refused for a key that is missing says nothing else.
        chosen = random.sample(list(keys), random.randint(0, len(keys))) if random.random() < 0.5 else list(keys)[: random.randint(1, 6)]
        words = [f"{key}{one(random, '=', '=', '=', '=', '=', ' = ', '')}{value(keys[key][1])}" for key in chosen]
        return one(random, ",", ",", ", ", ",,").join([*words, *one(random, "", "", "", "zz=1", "zz").split()])

    return spec_list(option, *(spec() for _ in range(random.choice((0, 1, 1, 1, 2)))))


def usb(random: Random) -> str:
    """What qemu is told of USB: `usbdevice` as a string or a list, `usb`, `usbversion`."""
    devices = ("tablet", "mouse", "host:1.2", "host:045e:028e", "ccid", "disk:/a", "", "a b", "é")
    listed = spec_list("usbdevice", *random.choices(devices, k=random.randint(0, 3)))
    lines = [one(random, f'usbdevice="{one(random, *devices)}"', listed), f"usbversion={one(random, '1', '2', '3', '4')}", f"usb={one(random, '0', '1')}"]
    return "\n".join(random.sample(lines, random.randint(1, 3)))


def spice(random: Random) -> str:
    words = {
        "spice": ("0", "1", "1", '"1"'), "spicehost": ('"0.0.0.0"', '""'), "spiceport": ("6000", "0", '"6000"', '"x"', "70000"),
        "spicetls_port": ("0", "6001"), "spicedisable_ticketing": ("0", "1"), "spicepasswd": ('"s"', '""', "5"), "spiceagent_mouse": ("0", "1"),
        "spicevdagent": ("0", "1", '"yes"'), "spice_clipboard_sharing": ("0", "1"), "spiceusbredirection": ("0", "4", '"4"', "99", "[4]"),
        "spice_image_compression": ('"auto_glz"', '"x"', '""'), "spice_streaming_video": ('"filter"', '"off"'), "vga": ('"qxl"', '"stdvga"', '"x"'),
    }  # fmt: skip
    chosen = random.sample(list(words), random.randint(1, len(words)))
    return "\n".join(f"{name}={one(random, *words[name])}" for name in chosen)


def vnuma(random: Random) -> str:
    nodes = random.choice((0, 1, 2, 2, 3))

    def node(first: int) -> str:
        distances = ",".join(one(random, "10", "20", "20", *NUMBERS[:5]) for _ in range(random.choice((nodes, nodes, 1, 0))))
        words = [
            f"pnode={one(random, '0', '1', '3', '4', 'x', '')}", f"size={one(random, '64', '64', '128', '0', '-1', '-64', 'x', '5M')}",
            f"vcpus={one(random, f'{first}', f'{first}-{first + 1}', f'{first},{first + 1}', '0-1', '0', '')}", f"vdistances={distances}",
        ]  # fmt: skip
        chosen = words if random.random() < 0.6 else random.sample([*words, "zz=1", "zz", "size = 64 "], random.randint(0, 4))
        return "[" + ", ".join(f'"{word}"' for word in chosen) + "]"

    lines = [f"vnuma=[{', '.join(node(2 * number) for number in range(nodes))}]"]
    for name in ("vcpus", "maxvcpus"):
        lines += [f"{name}={one(random, '1', '2', '4', '6')}"] if random.random() < 0.3 else []
    for name in ("memory", "maxmem"):
        lines += [f"{name}={one(random, '64', '128', '192')}"] if random.random() < 0.2 else []
    return "\n".join(lines)


def resources(random: Random) -> str:
    """Ports, interrupts and memory of the host."""
    word = one(random, "2f8-2ff", "3f8", "a0,20", "a0,20@b0", "5", "0x5", "2f8-2f0", "5-", "a0", "a0,", "a0,20@", *NUMBERS)
    return spec_list(one(random, "ioports", "irqs", "iomem"), *(word for _ in range(random.randint(0, 2))))


#: What makes a specification -> the types of guest that it is for.
GRAMMARS: dict[Callable[[Random], str], tuple[str, ...]] = {
    disk: ALL, vif: ALL, vfb: ALL, cpus: ALL, viridian: (HVM,), cpuid_names: ALL, cpuid_registers: ALL, pci: ALL, device: ALL, usb: (HVM,),
    spice: (HVM,), vnuma: ALL, resources: ALL,
}  # fmt: skip
