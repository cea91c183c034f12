"""Configs to compare, made by rule: each option with each value, specifications out of grammars, damaged files."""

from collections.abc import Iterator
from random import Random

from pyxl.formats.xlcfg import options
from pyxl.formats.xlcfg import xl_conf as xl_conf_names
from pyxl.formats.xlcfg.options import HVM, PV, PVH, TABLE
from tests.oracle.grammars import GRAMMARS

#: Options of xl.conf that leave no trace in a guest's JSON.
XL_CONF_OPTIONS = ("autoballoon", "domid_policy", "output_format", "remus.default.netbufscript", "colo.default.proxyscript", "zz")
UUID = "6b1d9b2e-0000-4000-8000-000000000001"
BASES = {
    HVM: f'name="g"\nuuid="{UUID}"\ntype="hvm"\n',
    PV: f'name="g"\nuuid="{UUID}"\ntype="pv"\nbootloader="pygrub"\n',
    PVH: f'name="g"\nuuid="{UUID}"\ntype="pvh"\nkernel="/boot/vmlinuz"\n',
}
#: As a person could write them, right and wrong.
VALUES = (
    "0", "1", "2", "3", "64", "255", "4096", "0x10", "010", "08", "99999", '""', '"0"', '"1"', '" 1"', '"1 "', '"-1"', '"+5"',
    '"0x1f"', '"yes"', '"x"', '"none"', '"default"', '"all"', '"0-3,^1"', '"/a b"', '"é"', "[]", '["x"]', "[0, 1]",
    '["0", "all"]', '"x" # said', '"a\\tb"',
)  # fmt: skip
SPECIAL_NAMES = {
    "type": ("hvm", "pv", "pvh"), "builder": ("hvm", "generic", "linux"), "vga": tuple(options.VGA),
    "timer_mode": options.TIMER_MODES, "device_model_version": tuple(options.DEVICE_MODELS),
    "firmware": ("bios", "uefi", "seabios", "rombios", "ovmf"), "ms_vm_genid": ("generate", "none"),
    **dict.fromkeys(options.ON_SHUTDOWN, tuple(options.ACTIONS)), "viridian": options.VIRIDIAN,
}  # fmt: skip


def each_option() -> Iterator[str]:
    """Yield every option of the tables with every value, for each type of guest."""
    for base in BASES.values():
        for name in sorted(options.SUPPORTED):
            names = next((table[name][2] for table in TABLE.values() if name in table), SPECIAL_NAMES.get(name, ()))
            for value in (*VALUES, *(f'"{own}"' for own in names), *(f'"{own.upper()}"' for own in names[:1])):
                yield base + f"{name}={value}\n"
                if name.startswith("cpus"):  # which pin nothing without vcpus
                    yield base + f"vcpus=2\n{name}={value}\n"


def appended() -> Iterator[str]:
    """Yield every option with a value and more by `+=`, of the same kind and of another, for each type of guest."""
    values = ("1", '"1"', '""', '"a"', '["a"]')
    for base in BASES.values():
        for name in sorted(options.SUPPORTED):
            for first in ("", *(f"{name}={value}\n" for value in values)):
                for more in values:
                    yield base + ("vcpus=1\n" if name.startswith("cpus") else "") + first + f"{name}+={more}\n"


def xl_conf() -> Iterator[tuple[str, str]]:
    """Yield guests that have what xl.conf sets and guests that do not, each with an xl.conf of one option."""
    names = (*XL_CONF_OPTIONS, *xl_conf_names.OLD_NAMES, *xl_conf_names.BOOLEANS, *xl_conf_names.TEXTS, *xl_conf_names.GRANT_LIMITS)
    for base in BASES.values():
        for more in ('vif=[""]\n', 'vif=["bridge=b,script=s,gatewaydev=g,backend=d"]\nvcpus=2\ncpus="0-2"\nmax_grant_frames=3\n'):
            for name in names:
                for value in (*VALUES, '"off"', '"random"'):
                    yield base + more, f"{name}={value}\n"


def random_specifications(random: Random) -> Iterator[str]:
    """Yield configs with one specification out of a grammar each, without end."""
    while True:
        for maker, guests in GRAMMARS.items():
            yield BASES[random.choice(guests)] + maker(random) + "\n"


def mutations(random: Random, texts: list[bytes]) -> Iterator[bytes]:
    """Yield the texts with a few of their bytes, words or lines changed, without end."""
    words = (b"=", b"'", b'"', b"[", b"]", b",", b"#", b";", b"\n", b"\r", b"\\", b"+=", b"0", b"-", b" ", b"\t", b"\xe9",
             b"A", b"name", b"memory", b"vcpus=2", b"[]", b"''", b"\xc3\xa9")  # fmt: skip
    while True:
        text = bytearray(random.choice(texts))
        for _ in range(random.randint(1, 3)):
            at, length = random.randrange(len(text) + 1), random.choice((1, 1, 1, 3, 10))
            how = random.randrange(5)
            if how == 0:
                del text[at : at + length]
            elif how == 1:
                text[at:at] = random.choice(words)
            elif how == 2:
                text[at : at + length] = random.choice(words)
            elif how == 3:
                text[at:at] = text[at : at + length]
            else:
                lines = bytes(text).split(b"\n")
                lines.insert(random.randrange(len(lines)), lines.pop(random.randrange(len(lines))))
                text = bytearray(b"\n".join(lines))
        yield bytes(text)
