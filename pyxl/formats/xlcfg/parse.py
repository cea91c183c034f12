"""xl.cfg text to the JSON of a libxl_domain_config, as `xl create -n` of Xen 4.17 to 4.20 prints it.

Follows xl.cfg(5); libxl ignores a known member of the wrong JSON type, so shapes matter here.
Does not know the host: whether files, bridges and CPUs exist is found out when the guest is built.
"""

from __future__ import annotations

import re

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import devices, disk, options, unknown, values
from pyxl.formats.xlcfg.cpus import pin
from pyxl.formats.xlcfg.lexer import COMMAND_LINE, Setting, drop, read
from pyxl.formats.xlcfg.options import ACTIONS, ANY, HVM, ON_SHUTDOWN, PV, PVH, TABLE
from pyxl.formats.xlcfg.report import Ignored, Report
from pyxl.formats.xlcfg.values import INT32_MAX, defbool
from pyxl.formats.xlcfg.xl_conf import GRANT_LIMITS, NIC_DEFAULTS
from pyxl.model.releases import OLDEST, OPTIONS_SINCE

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pyxl.model.releases import Release

__all__ = ["parse", "examine", "COMMAND_LINE"]

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Xen's own limit is far above any host; a typing error should not fill memory here.
MAX_VCPUS = 8192
#: The hole below 4 GiB, in MiB, within which hvmloader can place devices.
MMIO_HOLE = range(256, 3841)


def parse(
    chunks: Sequence[tuple[str, str]],
    defaults: Mapping[str, Any] | None = None,
    *,
    new_uuid: Callable[[], str] | None = None,
    warn: Callable[[str], None] | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Return the libxl_domain_config of (source name, text) chunks, ready for json.dumps.

    ``defaults`` is what xl_conf.parse returns; its keys ``host_cpus``, a number, and ``host_nodes``, the NUMA node of
    each CPU, set by the caller, make `cpus="all"` and `cpus="nodes:0"` known, and ``release``, (4, 20, 4), the options
    that this Xen has: without it they are those of the oldest.  ``new_uuid`` makes a uuid for a guest without one;
    ``warn`` gets a text for each thing that xl ignores as well, which ``strict`` makes an error.
    Texts begin with the chunk's name, line and column; the chunk of arguments is called COMMAND_LINE.

    :raise UsageError: options or values are wrong, or not supported: all of them, each with its line and a mark.
    """
    document, report = examine(chunks, defaults, new_uuid=new_uuid, strict=strict)
    report.close(warn)
    return document


def examine(
    chunks: Sequence[tuple[str, str]],
    defaults: Mapping[str, Any] | None = None,
    *,
    new_uuid: Callable[[], str] | None = None,
    strict: bool = False,
) -> tuple[dict[str, Any], Report]:
    """Return what parse does, and all that is wrong with it; the config is of no use where there are errors."""
    report = Report(chunks, strict)
    document: dict[str, Any] = {}
    try:
        settings = read(chunks, report.error)
    except UsageError as error:  # a Python program: nothing else in it means anything
        report.error(error)
        return document, report
    source = chunks[0][0] if chunks else COMMAND_LINE
    while not document:
        try:
            document = _Config(source, settings, defaults or {}, new_uuid, report.warn).domain()
        except UsageError as error:
            # The next error is found by reading again without what is wrong.
            report.error(error)
            dropped = drop(settings, report.place(str(error)))
            if not dropped or (dropped in ("type", "builder") and not isinstance(error, Ignored)):
                break
    return document, report


def _put(tree: dict[str, Any], steps: Sequence[str], value: object) -> None:
    for step in steps[:-1]:
        tree = tree.setdefault(step, {})
    tree[steps[-1]] = value


class _Config:
    """One guest on its way from settings to JSON."""

    def __init__(
        self,
        source: str,
        settings: dict[str, Setting],
        defaults: Mapping[str, Any],
        new_uuid: Callable[[], str] | None,
        warn: Callable[[str], None],
    ) -> None:
        self._source = source
        self._release: Release = defaults.get("release", (*OLDEST, 0))
        self._settings = settings
        self._defaults = defaults
        self._new_uuid = new_uuid
        self._warn = warn
        self._c_info: dict[str, Any] = {}
        self._b_info: dict[str, Any] = {"sched_params": {}, "arch_arm": {}, "arch_x86": {}}
        self._tree: dict[str, Any] = {"c_info": self._c_info, "b_info": self._b_info}

    def domain(self) -> dict[str, Any]:
        self._others()
        self._guest = self._type()
        self._c_info["type"] = self._guest
        self._own: dict[str, Any] = self._b_info.setdefault(f"type.{self._guest}", {})
        if self._guest == HVM:
            self._own.update(vga={}, vnc={}, sdl={}, spice={}, rdm={})
        self._identity()
        for table in (TABLE[ANY], TABLE[self._guest]):
            for name, (steps, kind, names) in table.items():
                if name in self._settings:
                    _put(self._tree, steps, values.converted(self._settings[name], kind, names))
        self._memory_and_vcpus()
        self._xl_defaults()
        self._boot()
        if self._guest == HVM:
            self._hvm()
        self._devices()
        self._modules()
        for name, usual in ON_SHUTDOWN.items():
            setting = self._get(name)
            self._tree[name] = values.mapped(setting, ACTIONS) if setting else ACTIONS[usual]
        return self._tree

    def _get(self, name: str) -> Setting | None:
        return self._settings.get(name)

    def _say(self, setting: Setting, what: str) -> None:
        self._warn(f'{setting.place}: "{setting.name}" is ignored: {what}')

    def _others(self) -> None:
        for name, setting in self._settings.items():
            if name in options.IGNORED:
                self._say(setting, options.IGNORED[name])
            elif (since := OPTIONS_SINCE.get(name, OLDEST)) > self._release:
                self._say(setting, f"an option of Xen {since[0]}.{since[1]}")
            elif name in options.UNUSED:
                self._say(setting, options.UNUSED[name])
            elif name not in options.SUPPORTED:
                self._unknown(name, setting)
        self._settings = {
            name: setting for name, setting in self._settings.items()
            if OPTIONS_SINCE.get(name, OLDEST) <= self._release
        }  # fmt: skip

    def _unknown(self, name: str, setting: Setting) -> None:
        if (today := unknown.LEFT_OVER.get(name)) is not None:
            self._say(setting, f"today it is {today}" if today else "nothing does this any more")
        elif near := unknown.slip(name, options.SUPPORTED.union(options.UNUSED)):
            raise UsageError(f'{setting.place}: unknown option "{name}" (did you mean "{near}"?)')
        else:
            self._say(setting, "xl has no such option")

    def _type(self) -> str:
        guest = None
        if setting := self._get("type"):
            guest = values.mapped(setting, {HVM: HVM, PV: PV, PVH: PVH})
        if setting := self._get("builder"):
            if setting.value == "linux":
                raise UsageError(f'{setting.value.place}: "builder" has no "linux" today', 'Write type = "pv".')
            built = values.mapped(setting, {"hvm": HVM, "generic": PV})
            if guest not in (None, built):
                raise UsageError(f'{setting.place}: "builder" and "type" contradict each other')
            guest = built
        return guest or PV

    def _identity(self) -> None:
        name = self._get("name")
        if name is None or not values.text(name):
            raise UsageError(f'{name.place if name else self._source}: the guest has no "name"')
        self._c_info["name"] = values.text(name)
        if setting := self._get("uuid"):
            uuid = values.text(setting).lower()
            if not UUID.fullmatch(uuid):
                raise values.wrong(setting, "a UUID such as 6b1d9b2e-0000-4000-8000-000000000001")
        elif self._new_uuid:
            uuid = self._new_uuid()
        else:
            from uuid import uuid4

            uuid = str(uuid4())
        self._c_info["uuid"] = uuid
        # With both labels the guest is built under one and runs under the other.
        if setting := self._get("init_seclabel"):
            self._c_info["ssid_label"] = values.text(setting)
        if setting := self._get("seclabel"):
            member = (self._b_info, "exec_ssid_label") if self._get("init_seclabel") else (self._c_info, "ssid_label")
            member[0][member[1]] = values.text(setting)

    def _memory_and_vcpus(self) -> None:
        b_info = self._b_info
        vcpus = maxvcpus = 0
        if setting := self._get("vcpus"):
            vcpus = maxvcpus = values.number(setting, 0, MAX_VCPUS)
            if vcpus:
                b_info["avail_vcpus"] = list(range(vcpus))
        if setting := self._get("maxvcpus"):
            maxvcpus = values.number(setting, 0, MAX_VCPUS)
            if maxvcpus < vcpus:
                raise UsageError(f'{setting.place}: "maxvcpus" {maxvcpus} is less than "vcpus" {vcpus}')
        if nodes := self._get("vnuma"):
            from pyxl.formats.xlcfg import vnuma

            count = vnuma.add(b_info, nodes, maxvcpus if setting else 0, self._defaults, self._warn)
            if 0 < count < vcpus:
                raise UsageError(f'{nodes.place}: "vnuma" has {count} vcpus, less than "vcpus" {vcpus}')
            maxvcpus = count or maxvcpus
        if "target_memkb" in b_info:
            b_info.setdefault("max_memkb", b_info["target_memkb"])
        if maxvcpus:
            b_info["max_vcpus"] = maxvcpus
        masks = ("vm.cpumask", "vm.pv.cpumask" if self._guest == PV else "vm.hvm.cpumask")
        given = {name: self._defaults[name] for name in masks if name in self._defaults}
        for name in ("cpus", "cpus_soft"):
            if not maxvcpus and (setting := self._get(name)):
                self._say(setting, 'xl pins no vcpus without "vcpus"')
        pin(b_info, self._settings, given, maxvcpus, self._defaults.get("host_cpus"), self._defaults.get("host_nodes"))

    def _xl_defaults(self) -> None:
        defaults = self._defaults
        self._c_info["run_hotplug_scripts"] = defbool(defaults.get("run_hotplug_scripts", True))
        self._b_info["claim_mode"] = defbool(defaults.get("claim_mode", True))
        if "blkdev_start" in defaults:
            self._b_info["blkdev_start"] = defaults["blkdev_start"]
        for name in GRANT_LIMITS:
            if setting := self._get(name):
                self._b_info[name] = values.exact_number(setting, 0, INT32_MAX)
            elif name in defaults:
                self._b_info[name] = defaults[name]

    def _boot(self) -> None:
        b_info = self._b_info
        if setting := self._get("kernel"):
            kernel = values.text(setting)
            # libxl loads hvmloader in any case; configs from xm's time name it as the kernel.
            if self._guest == HVM and kernel.rstrip("/").rpartition("/")[2] == "hvmloader":
                self._say(setting, "libxl finds hvmloader itself")
            else:
                b_info["kernel"] = kernel
        root, extra = self._get("root"), self._get("extra")
        if setting := self._get("cmdline"):
            b_info["cmdline"] = values.text(setting)
            for other in (root, extra):
                if other:
                    self._say(other, '"cmdline" is given')
        elif root or extra:
            halves = ([f"root={values.text(root)}"] if root else []) + ([values.text(extra)] if extra else [])
            b_info["cmdline"] = " ".join(halves)
        if setting := self._get("bootloader_args"):
            if isinstance(setting.value, list):
                b_info["bootloader_args"] = values.texts(setting)
            elif words := values.text(setting).split():
                b_info["bootloader_args"] = words
            else:
                raise values.wrong(setting, "arguments")
        if setting := self._get("timer_mode"):
            b_info["timer_mode"] = values.numbered(setting, options.TIMER_MODES)
            if self._guest == PV:
                raise UsageError(f'{setting.place}: "timer_mode" is not for PV guests')
        if setting := self._get("device_model_version"):
            b_info["device_model_version"] = values.mapped(setting, options.DEVICE_MODELS)
        if (setting := self._get("vmtrace_buf_kb")) and (size := values.number(setting, 0, INT32_MAX)):
            b_info["vmtrace_buf_kb"] = size
        if self._guest != HVM:
            if setting := self._get("firmware"):
                grub = values.mapped(setting, options.PV_FIRMWARE)
                if "kernel" in b_info:
                    raise UsageError(f'{setting.place}: "kernel" and "firmware" are given: a guest has one of the two')
                b_info["kernel"] = grub
            if "kernel" not in b_info and "bootloader" not in b_info:
                raise UsageError(
                    f'{self._source}: a {self._guest.upper()} guest needs "kernel" or "bootloader"',
                    'For a fully virtualised guest, say type = "hvm".',
                )

    def _hvm(self) -> None:
        own = self._own
        if setting := self._get("firmware_override"):
            own["firmware"] = values.text(setting)
        if setting := self._get("firmware"):
            self._firmware(setting)
        if setting := self._get("viridian"):
            self._viridian(setting)
        if setting := self._get("mmio_hole"):
            own["mmio_hole_memkb"] = values.number(setting, MMIO_HOLE.start, MMIO_HOLE.stop - 1) * 1024
        if setting := self._get("mca_caps"):
            if not isinstance(setting.value, list):
                raise values.wrong(setting, "a list of strings")
            for capability in values.texts(setting):
                if capability not in options.MCA_CAPS:
                    known = ", ".join(options.MCA_CAPS)
                    raise UsageError(f'{capability.place}: "mca_caps": "{capability}" is none of {known}')
                own["mca_caps"] = own.get("mca_caps", 0) | options.MCA_CAPS[capability]
        if (setting := self._get("ms_vm_genid")) and values.mapped(setting, {"generate": "1", "none": ""}):
            from random import SystemRandom

            own["ms_vm_genid"] = list(SystemRandom().randbytes(16))
        if setting := self._get("vga"):
            own["vga"]["kind"] = values.mapped(setting, options.VGA)
        elif setting := self._get("stdvga"):
            own["vga"]["kind"] = "std" if values.number(setting) else "cirrus"
        if (listen := own["vnc"].get("listen")) and ":" in listen and own["vnc"].get("display"):
            raise UsageError(f'{listen.place}: a display stands in "vnclisten" and in "vncdisplay"')
        for name in ("serial", "usbdevice"):
            if setting := self._get(name):
                if isinstance(setting.value, list):
                    own[f"{name}_list"] = values.texts(setting)
                else:
                    own[name] = values.text(setting)
        if setting := self._get("gfx_passthru"):
            if values.is_number(setting):
                own["gfx_passthru"] = defbool(values.number(setting))
            else:
                own["gfx_passthru_kind"] = values.choice(setting, options.GFX_PASSTHRU)
                own["gfx_passthru"] = defbool(True)

    def _firmware(self, setting: Setting) -> None:
        text = values.text(setting)
        if not text:
            raise values.wrong(setting, "a name or a file")
        if text.lower() in ("rombios", "seabios", "ovmf"):
            self._own["bios"] = text.lower()
        elif "uefi".startswith(text):  # xl compares no more than there is
            self._own["bios"] = "ovmf"
        elif not "bios".startswith(text) and text.lower() != "unknown":
            self._own["firmware"] = text

    def _viridian(self, setting: Setting) -> None:
        if not isinstance(setting.value, list):
            self._own["viridian"] = defbool(values.number(setting))
            return
        enable: set[int] = set()
        disable: set[int] = set()
        for word in values.texts(setting):
            if word == "all":
                enable.update(range(options.VIRIDIAN_WIDTH))
            elif word == "defaults":
                self._own["viridian"] = "True"
            else:
                name = word.removeprefix("!").lower()
                if name not in options.VIRIDIAN:
                    raise UsageError(f'{word.place}: "viridian": unknown enlightenment "{word}"')
                bit = options.VIRIDIAN.index(name)
                (disable if word.startswith("!") else enable).add(bit)
                (enable if word.startswith("!") else disable).discard(bit)
        self._own["viridian_enable"] = sorted(enable)
        self._own["viridian_disable"] = sorted(disable)

    def _devices(self) -> None:
        tree = self._tree
        if setting := self._get("disk"):
            tree["disks"] = [disk.parse(spec, spec.place) for spec in values.texts(setting)]
        if setting := self._get("vif"):
            nic_defaults = {NIC_DEFAULTS[name]: self._defaults[name] for name in NIC_DEFAULTS if name in self._defaults}
            tree["nics"] = [
                devices.nic(spec, devid, nic_defaults, spec.place, self._warn, self._release)
                for devid, spec in enumerate(values.texts(setting))
            ]
        top_level = tree.pop("vfb", {})  # where the table put a PV guest's vnc options
        vfbs = []
        if setting := self._get("vfb"):
            specs = enumerate(values.texts(setting))
            vfbs = [devices.vfb(spec, devid, spec.place, self._warn) for devid, spec in specs]
        if self._guest == PV and not vfbs and top_level.get("vnc", {}).get("enable") == "True":
            vfbs = [{"devid": 0, **top_level}]
        if vfbs:
            tree["vfbs"] = vfbs
            # A framebuffer always brings its keyboard and mouse.
            tree["vkbs"] = [{"devid": vfb["devid"]} for vfb in vfbs]

    def _modules(self) -> None:
        """Have the options that few configs have read by the files that know them."""
        modules = {options.MODULES[name]: None for name in self._settings if name in options.MODULES}
        if modules:
            from importlib import import_module
        for module in modules:
            import_module(f"pyxl.formats.xlcfg.{module}").add(self._tree, self._settings, self._warn, self._release)
        if not options.OLDER.isdisjoint(self._settings):
            from pyxl.formats.xlcfg.deprecated import remarks

            for setting, what in remarks(self._settings, self._guest):
                self._warn(f'{setting.place}: "{setting.name}": {what}')
