"""What a config is refused or warned for: each with its place, all of a file at once."""

from __future__ import annotations

import re

import pytest

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import options, unknown
from pyxl.formats.xlcfg.parse import COMMAND_LINE, parse
from pyxl.model.releases import NEWEST, OPTIONS_SINCE, Series
from tests.formats.xlcfg.guests import HVM, PV, PVH, UUID, changes, refusal, warnings, without_column

#: Each is the same guest as without it, as in xl; strictly, each is an error.
IGNORED = [
    ("memory='lots'", '"memory" wants a number, not "lots": ignored, as xl does'),
    ("memory=08", '"memory" wants a number, not "08": ignored, as xl does'),
    ("memory=[1]", '"memory" wants a number, not a list: ignored, as xl does'),
    ("memory+=1", '"memory" is a number: += cannot add to it: ignored, as xl does'),
    ("memory='" + "9" * 5000 + "'", f'"memory" wants a number, not "{"9" * 5000}": ignored, as xl does'),
    ("usb='yes'", '"usb" wants a number, not "yes": ignored, as xl does'),
    ("uuid=['a']", '"uuid" wants a string, not a list: ignored, as xl does'),
    ("disk='/a,raw,xvda'", '"disk" wants a list, not "/a,raw,xvda": ignored, as xl does'),
    ("zzzzz=1", '"zzzzz" is ignored: xl has no such option'),
    ("vif3=1", '"vif3" is ignored: xl has no such option'),
    ("on_xend_stop='x'", '"on_xend_stop" is ignored: today it is xendomains\' own settings'),
    ("superpages=1", '"superpages" is ignored: nothing does this any more'),
    ("vcpu=2", '"vcpu" is ignored: today it is vcpus'),
]


@pytest.mark.parametrize(("text", "message"), IGNORED)
def test_what_xl_ignores_is_a_warning(text: str, message: str) -> None:
    assert warnings(HVM + text) == [f"f:2: {message}"]
    assert parse([("f", HVM + text)], new_uuid=lambda: UUID) == parse([("f", HVM)])
    with pytest.raises(UsageError) as caught:
        parse([("f", HVM + text)], strict=True)
    assert without_column(str(caught.value)) == f"f:2: {message}"


def test_words_of_a_vif_or_vfb_that_xl_does_not_know_are_warnings() -> None:
    text = "vif=['accel=1', 'type=pci,bridge=b']\nvfb=['type=vnc,vnc=yes,zzz=1']"
    assert warnings(HVM + text) == [
        'f:2: vif "accel=1": "accel=1" is ignored, as by xl',
        'f:2: vif "type=pci,bridge=b": "type=pci" is ignored, as by xl',
        'f:3: vfb "type=vnc,vnc=yes,zzz=1": vnc is a number; "yes" is 0, as in xl',
        'f:3: vfb "type=vnc,vnc=yes,zzz=1": "zzz=1" is ignored, as by xl',
    ]
    found = changes(HVM, text)
    assert found["/nics"] == [{"devid": 0}, {"devid": 1, "bridge": "b"}]
    assert found["/vfbs"] == [{"devid": 0, "vnc": {"enable": "False"}, "sdl": {}}]


SLIPS = {"vcupz": "vcpus", "memry": "memory", "max_vcpus": "maxvcpus", "seriel": "serial"}
NO_SLIPS = ("boot_order", "reboot", "rootfs", "minmem", "dist", "disk2", "hdb", "xen_platform_pv", "on_boot", "monitor")


def test_a_slip_is_near_to_an_option() -> None:
    assert {name: unknown.slip(name, options.SUPPORTED) for name in SLIPS} == SLIPS
    for name in NO_SLIPS:
        assert changes(HVM, f"{name}=1") == {}


def test_every_error_is_told_at_once_with_its_line_and_a_mark() -> None:
    with pytest.raises(UsageError) as caught:
        parse([("f", "name='h'\ntype='hvm'\n\tvcpuz = 2\nmemory=hvm\ndisk=['/a,raw,xvda',\n  '/b,raw']\nboot=='c'")])
    assert str(caught.value) == """\
f:3:2: unknown option "vcpuz" (did you mean "vcpus"?)
     vcpuz = 2
     ^
f:4:8: expected a value: strings stand in quotes, not hvm
    memory=hvm
           ^
f:6:3: disk "/b,raw": it names no vdev
      '/b,raw']
      ^
f:7:6: expected a string, a number or a list, not =
    boot=='c'
         ^"""


def test_a_broken_list_is_one_error() -> None:
    with pytest.raises(UsageError) as caught:
        parse([("f", "name='h'\ndisk=[ '/a' '/b',\n '/c'\n]\ntype='hvm'")])
    assert str(caught.value).startswith("f:2:13: ")
    assert str(caught.value).count("f:") == 1


def test_a_wrong_type_hides_what_depends_on_it() -> None:
    assert refusal("name='h'\ntype='hmv'\nfirmware='bios'") == 'f:2: "type" wants one of hvm, pv, pvh, not "hmv"'


def test_a_long_line_is_shown_around_the_mark() -> None:
    with pytest.raises(UsageError) as caught:
        parse([("f", HVM + f"extra='{'a' * 300}'; on_crash='x'")])
    _, line, mark = str(caught.value).split("\n")
    assert line[mark.index("^") :] == "'x'"
    assert len(line) < 120


PYTHON = [
    "import os\nname = 'a'\nif os.path.exists('/x'):\n    memory = 5",
    "def f():\n  pass",
    "name = 'a%d' % vmid",
    "name='a'\narch = os.uname()[4]",
    "name = 'a' + vm",
    "memory = int(5)",
]


@pytest.mark.parametrize("text", PYTHON)
def test_a_config_of_xm_is_recognised(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([("f", text)])
    assert re.match(r"f:[12]:1: this is a Python program, as xm took them\n", str(caught.value))
    assert caught.value.hint


@pytest.mark.parametrize("text", ["from = 1\nif=", "name = 'a' 'b'", "a = '%d' # % x\nb ="])
def test_other_syntax_errors_are_no_python(text: str) -> None:
    assert "Python" not in refusal(text)


def test_a_file_in_another_encoding_is_read_but_for_what_libxl_must_keep() -> None:
    comment = b"# caf\xe9\rmemory=1\n".decode(errors="surrogateescape")
    assert changes(HVM, comment) == {}
    assert changes(HVM, "description='\udce9'") == {}
    assert refusal(HVM + "kernel='/\udce9'") == 'f:2: "kernel" is not UTF-8: libxl could not read the config again'


BAD = [
    ("type='hvm'", 'f: the guest has no "name"'),
    ("type='hvm'\nname=''", 'f:2: the guest has no "name"'),
    ("name='p'", 'f: a PV guest needs "kernel" or "bootloader"'),
    ("name='p'\ntype='pvh'", 'f: a PVH guest needs "kernel" or "bootloader"'),
    ("type='x'", 'f:1: "type" wants one of hvm, pv, pvh, not "x"'),
    (PV + "builder='linux'", 'f:2: "builder" has no "linux" today'),
    ("type='hvm'\nbuilder='generic'", 'f:2: "builder" and "type" contradict each other'),
    (PV + "timer_mode=1", 'f:2: "timer_mode" is not for PV guests'),
    (PV + "firmware='pvgrub64'", 'f:2: "kernel" and "firmware" are given: a guest has one of the two'),
    ("name='p'\nfirmware='uefi'", 'f:2: "firmware" wants one of pvgrub32, pvgrub64, not "uefi"'),
    *((HVM + text, f"f:2: {what}") for text, what in [
        ("memry=1", 'unknown option "memry" (did you mean "memory"?)'),
        ("onreboot='x'", 'unknown option "onreboot" (did you mean "on_reboot"?)'),
        ("vcupz=1", 'unknown option "vcupz" (did you mean "vcpus"?)'),
        ("pci=['00:1b']", 'pci "00:1b": "00:1b" is neither BUS:DEVICE.FUNCTION, such as 00:1b.0, nor key=value'),
        ("pci=['00:1b.0 seize=1']",
         'pci "00:1b.0 seize=1": " seize=1" follows the device: its options are key=value, after commas'),
        ("pci=['seize=1']", 'pci "seize=1": a device has either an address, such as 00:1b.0, or name='),
        ("pci=['00:1b.0,sieze=1']",
         'pci "00:1b.0,sieze=1": unknown key "sieze": it is none of bdf, vslot, msitranslate, power_mgmt, permissive, '
         'seize, rdm_policy, name'),
        ("ioports=['3-2']", 'ioports "3-2": ports are hexadecimal, one or FIRST-LAST, such as 2f8-2ff'),
        ("irqs=['0x5']", 'irqs "0x5": an interrupt is a decimal number, such as 5'),
        ("iomem=['a0']",
         'iomem "a0": memory is START,NUMBER or START,NUMBER@GUEST, in hexadecimal pages, such as a0,20'),
        ("mca_caps=['x']", '"mca_caps": "x" is none of lmce'),
        ("gfx_passthru='1'; gfx_passthru += ''", '"gfx_passthru" wants one of default, igd, not "1"'),
        ("altp2m += 1", '"altp2m" wants one of disabled, mixed, external, limited, not "1"'),
        ("gfx_passthru='nvidia'", '"gfx_passthru" wants one of default, igd, not "nvidia"'),
        ("usbctrl=['type=xhci']", 'usbctrl "type=xhci": type is one of auto, pv, devicemodel, qusb, not "xhci"'),
        ("usbdev=['type=hostdev,vendor=1']",
         'usbdev "type=hostdev,vendor=1": unknown key "vendor": it is none of type, hostbus, hostaddr, controller, port'),
        ("vkb=['width=5']", 'vkb "width=5": it needs backend-type=qemu or backend-type=linux'),
        ("channel=['name=x']", 'channel "name=x": it needs connection=pty or connection=socket'),
        ("channel=['name=x,connection=socket']",
         'channel "name=x,connection=socket": connection=socket needs path='),
        ("p9=['tag=t']", 'p9 "tag=t": it needs path='),
        ("vnuma=[['size=-64','vcpus=0']]", 'vnuma "size=-64": size wants a number from 0 to 2147483647, not "-64"'),
        ("vtpm=['uuid=5']", 'vtpm "uuid=5": uuid is such as 6b1d9b2e-0000-4000-8000-000000000001, not "5"'),
        ("vdispl=['connectors=a:5']",
         'vdispl "connectors=a:5": a connector is NAME:WIDTHxHEIGHT, not "a:5"'),
        ("memory='-1'", '"memory" wants a number from 0 to 2147483647, not "-1"'),
        ("maxvcpus=9999", '"maxvcpus" wants a number from 0 to 8192, not "9999"'),
        ("vcpus=4;maxvcpus=2", '"maxvcpus" 2 is less than "vcpus" 4'),
        ("cpu_weight=4294967296", '"cpu_weight" wants a number from -2147483648 to 2147483647, not "4294967296"'),
        ("max_grant_frames='-1'", '"max_grant_frames" wants a number from 0 to 2147483647, not "-1"'),
        ("mmio_hole=1", '"mmio_hole" wants a number from 256 to 3840, not "1"'),
        ("uuid='x'", '"uuid" wants a UUID such as 6b1d9b2e-0000-4000-8000-000000000001, not "x"'),
        ("disk=[['/a,raw,xvda']]", '"disk" wants a list of strings, not of lists'),
        ("tsc_mode=9", '"tsc_mode" wants a number from 0 to 3, not "9"'),
        ("tsc_mode='fast'",
         '"tsc_mode" wants one of default, always_emulate, native, native_paravirt, not "fast"'),
        ("on_crash='explode'",
         '"on_crash" wants one of destroy, restart, rename-restart, preserve, coredump-destroy, '
         'coredump-restart, soft-reset, not "explode"'),
        ("vga='x'", '"vga" wants one of stdvga, cirrus, none, qxl, not "x"'),
        ("ms_vm_genid='x'", '"ms_vm_genid" wants one of generate, none, not "x"'),
        ("viridian=['base','warp']", '"viridian": unknown enlightenment "warp"'),
        ("vnclisten='a:1';vncdisplay=2", 'a display stands in "vnclisten" and in "vncdisplay"'),
        ("vcpus=1;cpus=''", '"cpus": "" leaves no CPU for a vcpu'),
        ("vcpus=1;cpus='1,^1'", '"cpus": "1,^1" leaves no CPU for a vcpu'),
        ("vcpus=1;cpus='3-1'", '"cpus": "3-1" is no CPU number or range'),
        ("vcpus=1;cpus='0-9999999999'", '"cpus": "0-9999999999" is no CPU number or range'),
        ("device_model_args='x'", '"device_model_args" wants a list, not "x"'),
        ("max_grant_frames='x'", '"max_grant_frames" wants a number, not "x"'),
        ("cpus='3-1'", '"cpus": "3-1" is no CPU number or range'),
        ("vcpus=1;cpus='^all'", '"cpus": "^all" is no CPU number or range'),
        ("vif=['brigde=x']", 'vif "brigde=x": unknown key "brigde" (did you mean "bridge"?)'),
        ("vif=['mac=1:2:3']", 'vif "mac=1:2:3": mac is six numbers such as 00:16:3e:01:02:03, not "1:2:3"'),
        ("vif=['mtu=x']", 'vif "mtu=x": mtu is a number, not "x"'),
        ("vif=['rate=1']", 'vif "rate=1": rate is such as 10Mb/s or 1MB/s@20ms, not "1"'),
        ("vif=['forwarddev=x']", f'vif "forwarddev=x": "forwarddev" {options.NO_COLO}'),
        ("vfb=['vnclsten=x']", 'vfb "vnclsten=x": unknown key "vnclsten" (did you mean "vnclisten"?)'),
    ]),
    (HVM + "disk=[\n'/a,raw,xvda',\n'/b,raw'\n]", 'f:4: disk "/b,raw": it names no vdev'),
    (HVM + "vif=[\n\n'mtu=x']", 'f:4: vif "mtu=x": mtu is a number, not "x"'),
    ("name=['h']\ntype='hvm'", 'f: the guest has no "name"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD)
def test_error_names_the_line_and_the_option(text: str, message: str) -> None:
    assert refusal(text) == message


def test_pv_guest_without_kernel_is_told_of_hvm() -> None:
    with pytest.raises(UsageError) as caught:
        parse([("f", "name='p'")])
    assert caught.value.hint == 'For a fully virtualised guest, say type = "hvm".'


@pytest.mark.parametrize(("name", "since"), OPTIONS_SINCE.items())
def test_an_option_of_a_later_xen_is_told_and_ignored(name: str, since: Series) -> None:
    assert warnings(HVM + f"\n\n{name} = 1") == [f'f:4: "{name}" is ignored: an option of Xen {since[0]}.{since[1]}']


@pytest.mark.parametrize(("name", "why"), options.UNUSED.items())
def test_an_option_that_pyxl_has_no_use_for_is_told_why(name: str, why: str) -> None:
    said: list[str] = []
    parse([("f", HVM + f"\n\n{name} = 1")], {"release": (*NEWEST, 0)}, warn=said.append)
    assert [without_column(line).splitlines()[0] for line in said] == [f'f:4: "{name}" is ignored: {why}']


def test_no_option_is_both_known_and_not() -> None:
    tables = [set(table) for table in options.TABLE.values()]
    assert options.SUPPORTED.isdisjoint(options.UNUSED)
    assert options.SUPPORTED.union(options.UNUSED).isdisjoint(unknown.LEFT_OVER)
    assert OPTIONS_SINCE.keys() <= options.SUPPORTED.union(options.UNUSED)
    assert all(options.SPECIAL.isdisjoint(table) for table in tables)


@pytest.mark.parametrize(("argument", "what"), [
    ("memory='x'", '"memory" wants a number, not "x"'),
    ("memry=1", 'unknown option "memry" (did you mean "memory"?)'),
    ("memory", 'expected "=" after "memory", not the end of the text'),
    ("disk=['x']", 'disk "x": it names no vdev'),
])  # fmt: skip
def test_error_in_an_argument_is_of_the_command_line(argument: str, what: str) -> None:
    assert refusal(HVM, argument) == f"command line: {what}"


def test_without_a_file_the_command_line_has_no_name() -> None:
    with pytest.raises(UsageError, match=r'^command line: the guest has no "name"$'):
        parse([(COMMAND_LINE, "type='hvm'")])


def test_what_xl_ignores_too_is_said_once_each() -> None:
    text = HVM + "vncviewer=1\ndevice_model='x'\nvif2=[]\nkernel='/x/hvmloader'\ncmdline='c'\nroot='r'\nextra='e'"
    assert warnings(text) == [
        'f:2: "vncviewer" is ignored: start the viewer yourself',
        'f:3: "device_model" is ignored: use device_model_override to name another device model',
        'f:4: "vif2" is ignored: netchannel2 is gone',
        'f:5: "kernel" is ignored: libxl finds hvmloader itself',
        'f:7: "root" is ignored: "cmdline" is given',
        'f:8: "extra" is ignored: "cmdline" is given',
    ]


@pytest.mark.parametrize(("base", "text", "what"), [
    (HVM, "tsc_mode=2", '"tsc_mode": a number is deprecated: say tsc_mode = "native"'),
    (PVH, "timer_mode=0", '"timer_mode": a number is deprecated: say timer_mode = "delay_for_missed_ticks"'),
    (HVM, "altp2mhvm=1", '"altp2mhvm": it is deprecated: say altp2m = "mixed"'),
    (HVM, "bootloader_args='a b'", '"bootloader_args": a string is deprecated: say a list of strings'),
    (HVM, "msr_relaxed=1", '"msr_relaxed": later versions of Xen will not have it'),
    (HVM, "bios_path_override='/o'", '"bios_path_override": it is given without bios, such as bios = "ovmf"'),
    (PV, "device_model_override='/q'",
     '"device_model_override": it is given without device_model_version, such as device_model_version = "qemu-xen"'),
    (HVM, "cpuid='host,hht=0'", 'cpuid "host,hht=0": "hht=0" is ignored: unknown feature "hht" (did you mean "htt"?)'),
    (HVM, "cpuid='host, htt=0'",
     'cpuid "host, htt=0": " htt=0" is ignored: unknown feature " htt" (did you mean "htt"?)'),
    (HVM, "cpuid=['1:ecx=x']", 'cpuid "1:ecx=x": "ecx=x" is ignored: a policy has 32 characters, not 1'),
    (HVM, "rdm='strategy=host,policy=relaxed'",
     '"rdm" is ignored: xl heeds "strategy=host" alone; each device has its own rdm_policy='),
    (HVM, "usbctrl=['type=qusb,version=2.0']",
     'usbctrl "type=qusb,version=2.0": version is a number: "2.0" is taken for 2'),
    (PV, "p9=['tag=t,path=/p,security_model=none','tag=t,path=/p']",
     'p9 "tag=t,path=/p": takes security_model "none" from the one before it, as xl has it'),
    (HVM, "vnuma=[['size=1','vcpu=0']]", 'vnuma "vcpu=0": is ignored: the keys are pnode, size, vcpus, vdistances'),
])  # fmt: skip
def test_what_xl_lets_pass_is_said(base: str, text: str, what: str) -> None:
    assert warnings(base + text) == [f"f:{base.count(chr(10)) + 1}: {what}"]


@pytest.mark.parametrize(
    ("base", "text"),
    [(PV, "altp2mhvm=1"), (HVM, "tsc_mode='native'"), (HVM, "bios='ovmf'\nbios_path_override='/o'"), (HVM, "rdm='strategy=host'"),
     (HVM, "bootloader_args=['a']"), (HVM, "device_model_override='/q'\ndevice_model_version='qemu-xen'")],
)  # fmt: skip
def test_what_is_well_said_gets_no_remark(base: str, text: str) -> None:
    said: list[str] = []
    parse([("f", base + text)], warn=said.append)
    assert said == []
