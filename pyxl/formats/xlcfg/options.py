"""The options of xl.cfg as data: name, where its value goes in libxl's JSON, what kind of value it is.

Follows xl.cfg(5) and libxl_types.idl of Xen 4.17; enumerations carry libxl's own names.
Does not know the options whose meaning depends on others: parse.py reads those itself.
"""

ANY, HVM, PV, PVH = "any", "hvm", "pv", "pvh"

# Kinds: what the value must be, and what it becomes.
BOOL = "bool"  # number -> "True" or "False"
INT = "int"  # number -> C int
UINT = "uint"  # number -> uint32, negative ones as C converts them
MIB = "mib"  # MiB -> KiB
TEXT = "text"
TEXTS = "texts"  # list of strings
CHOICE = "choice"  # name -> libxl's name, any case
NUMBERED = "numbered"  # as CHOICE, or the index of the name

#: One row each: name, JSON path, kind, the names of a CHOICE or NUMBERED; for every guest, then for one type.
_ROWS: dict[str, str] = {
    ANY: """
        hap c_info.hap bool
        oos c_info.oos bool
        pool c_info.pool_name text
        driver_domain c_info.driver_domain bool
        passthrough c_info.passthrough choice default,disabled,enabled,sync_pt,share_pt
        xend_suspend_evtchn_compat c_info.xend_suspend_evtchn_compat bool
        memory b_info.target_memkb mib
        maxmem b_info.max_memkb mib
        shadow_memory b_info.shadow_memkb mib
        videoram b_info.video_memkb mib
        rtc_timeoffset b_info.rtc_timeoffset uint
        localtime b_info.localtime bool
        nomigrate b_info.disable_migrate bool
        tsc_mode b_info.tsc_mode numbered default,always_emulate,native,native_paravirt
        max_event_channels b_info.event_channels uint
        ramdisk b_info.ramdisk text
        device_tree b_info.device_tree text
        acpi b_info.acpi bool
        bootloader b_info.bootloader text
        bootloader_restrict b_info.bootloader_restrict bool
        bootloader_user b_info.bootloader_user text
        nestedhvm b_info.nested_hvm bool
        dm_restrict b_info.dm_restrict bool
        device_model_override b_info.device_model text
        device_model_user b_info.device_model_user text
        device_model_args b_info.extra texts
        device_model_args_pv b_info.extra_pv texts
        device_model_args_hvm b_info.extra_hvm texts
        device_model_stubdomain_override b_info.device_model_stubdomain bool
        device_model_stubdomain_seclabel b_info.device_model_ssid_label text
        stubdomain_kernel b_info.stubdomain_kernel text
        stubdomain_cmdline b_info.stubdomain_cmdline text
        stubdomain_ramdisk b_info.stubdomain_ramdisk text
        stubdomain_memory b_info.stubdomain_memkb mib
        vuart b_info.arch_arm.vuart choice unknown,sbsa_uart
        gic_version b_info.arch_arm.gic_version choice default,v2,v3
        nr_spis b_info.arch_arm.nr_spis uint
        trap_unmapped_accesses b_info.trap_unmapped_accesses bool
        tee b_info.tee choice none,optee
        cpu_weight b_info.sched_params.weight int
        cap b_info.sched_params.cap int
        period b_info.sched_params.period int
        slice b_info.sched_params.slice int
        latency b_info.sched_params.latency int
        extratime b_info.sched_params.extratime int
        altp2m b_info.altp2m numbered disabled,mixed,external,limited
        msr_relaxed b_info.arch_x86.msr_relaxed bool
        vpmu b_info.vpmu bool
        altp2m_count b_info.altp2m_count uint
        xenstore_feature_mask b_info.xenstore_feature_mask uint
        """,
    HVM: """
        bios type.hvm.bios choice unknown,rombios,seabios,ovmf
        bios_path_override type.hvm.system_firmware text
        smbios_firmware type.hvm.smbios_firmware text
        rdm_mem_boundary type.hvm.rdm_mem_boundary_memkb mib
        acpi_firmware type.hvm.acpi_firmware text
        pae type.hvm.pae bool
        apic b_info.apic bool
        acpi_s3 type.hvm.acpi_s3 bool
        acpi_s4 type.hvm.acpi_s4 bool
        acpi_laptop_slate type.hvm.acpi_laptop_slate bool
        nx type.hvm.nx bool
        hpet type.hvm.hpet bool
        vpt_align type.hvm.vpt_align bool
        altp2mhvm type.hvm.altp2m bool
        hdtype type.hvm.hdtype choice ide,ahci
        nographic type.hvm.nographic bool
        vnc type.hvm.vnc.enable bool
        vnclisten type.hvm.vnc.listen text
        vncpasswd type.hvm.vnc.passwd text
        vncdisplay type.hvm.vnc.display int
        vncunused type.hvm.vnc.findunused bool
        keymap type.hvm.keymap text
        sdl type.hvm.sdl.enable bool
        opengl type.hvm.sdl.opengl bool
        display type.hvm.sdl.display text
        xauthority type.hvm.sdl.xauthority text
        spice type.hvm.spice.enable bool
        spicehost type.hvm.spice.host text
        spiceport type.hvm.spice.port int
        spicetls_port type.hvm.spice.tls_port int
        spicedisable_ticketing type.hvm.spice.disable_ticketing bool
        spicepasswd type.hvm.spice.passwd text
        spiceagent_mouse type.hvm.spice.agent_mouse bool
        spicevdagent type.hvm.spice.vdagent bool
        spice_clipboard_sharing type.hvm.spice.clipboard_sharing bool
        spiceusbredirection type.hvm.spice.usbredirection int
        spice_image_compression type.hvm.spice.image_compression text
        spice_streaming_video type.hvm.spice.streaming_video text
        boot type.hvm.boot text
        usb type.hvm.usb bool
        usbversion type.hvm.usbversion int
        vkb_device type.hvm.vkb_device bool
        soundhw type.hvm.soundhw text
        hvm_pirq type.hvm.pirq bool
        xen_platform_pci type.hvm.xen_platform_pci bool
        xen_platform_pci_bar_uc type.hvm.xen_platform_pci_bar_uc bool
        vendor_device type.hvm.vendor_device choice none,xenserver
        """,
    PV: """
        e820_host type.pv.e820_host bool
        vnc vfb.vnc.enable bool
        vnclisten vfb.vnc.listen text
        vncpasswd vfb.vnc.passwd text
        vncdisplay vfb.vnc.display int
        vncunused vfb.vnc.findunused bool
        sdl vfb.sdl.enable bool
        opengl vfb.sdl.opengl bool
        display vfb.sdl.display text
        xauthority vfb.sdl.xauthority text
        keymap vfb.keymap text
        """,
    PVH: """
        pvshim type.pvh.pvshim bool
        pvshim_path type.pvh.pvshim_path text
        pvshim_cmdline type.pvh.pvshim_cmdline text
        pvshim_extra type.pvh.pvshim_extra text
        """,
}


def _table() -> dict[str, dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]]]:
    table: dict[str, dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]]] = {}
    for guest, rows in _ROWS.items():
        options = table[guest] = {}
        for row in rows.strip().split("\n"):
            name, path, kind, *names = row.split()
            if path.startswith("type."):
                _, of, rest = path.split(".", 2)
                steps = ("b_info", f"type.{of}", *rest.split("."))
            else:
                steps = tuple(path.split("."))
            options[name] = (steps, kind, tuple(names[0].split(",")) if names else ())
    return table


#: guest type or ANY -> option -> (steps into the JSON, kind, names).
TABLE = _table()

#: Options that parse.py reads itself.
SPECIAL = frozenset(
    "name uuid type builder vcpus maxvcpus vnuma cpus cpus_soft max_grant_frames max_maptrack_frames max_grant_version"
    " on_poweroff on_reboot on_watchdog on_crash on_soft_reset kernel cmdline root extra bootloader_args timer_mode"
    " firmware firmware_override viridian mmio_hole mca_caps ms_vm_genid vmtrace_buf_kb device_model_version vga stdvga"
    " gfx_passthru serial usbdevice disk vif vfb seclabel init_seclabel".split()
)

#: Options that have a file of their own, loaded only where a config has one -> its module.
MODULES = {
    "cpuid": "cpuid",
    "usbctrl": "pv_devices", "usbdev": "pv_devices", "vkb": "pv_devices", "channel": "pv_devices", "p9": "pv_devices",
    "pci": "passthrough", "pci_msitranslate": "passthrough", "pci_power_mgmt": "passthrough",
    "pci_permissive": "passthrough", "pci_seize": "passthrough", "rdm": "passthrough", "dtdev": "passthrough",
    "vsnd": "vsnd", "ioports": "passthrough", "irqs": "passthrough", "iomem": "passthrough",
    "vtpm": "pv_devices", "pvcalls": "pv_devices", "vdispl": "pv_devices",
    "llc_colors": "later", "smbios": "later",
}  # fmt: skip

#: Options of later releases of xl that pyxl has no use for -> why.
UNUSED = {
    "virtio": "its devices are for Arm", "sve": "it is for Arm", "arm_sci": "it is for Arm",
    "xenstore_quota": "pyxl does not read it",
    "assisted_xapic": "no release of xl has it", "assisted_x2apic": "no release of xl has it",
}

#: Options that xl warns about and ignores -> what to do about them.
IGNORED = {
    "device_model": "use device_model_override to name another device model",
    "vif2": "netchannel2 is gone",
    "vncviewer": "start the viewer yourself",
}

#: What is wrong with a word of COLO in a disk or vif.
NO_COLO = "is for COLO, which runs a guest on two hosts at once and pyxl does not do: leave it out, or use xl"

#: Options that may be written in an older way, which deprecated.py knows.
OLDER = frozenset(
    "tsc_mode timer_mode device_model_override bios_path_override altp2mhvm bootloader_args msr_relaxed".split()
)

#: Every option name that is not an error.
SUPPORTED = SPECIAL.union(IGNORED, MODULES, *TABLE.values())

#: The on_* options and what each does when it is not given, in xl's words.
ON_SHUTDOWN = {
    "on_poweroff": "destroy", "on_reboot": "restart", "on_watchdog": "destroy",
    "on_crash": "destroy", "on_soft_reset": "soft-reset",
}  # fmt: skip
#: xl's name of an action -> libxl's.
ACTIONS = {
    "destroy": "destroy", "restart": "restart", "rename-restart": "restart_rename", "preserve": "preserve",
    "coredump-destroy": "coredump_destroy", "coredump-restart": "coredump_restart", "soft-reset": "soft_reset",
}  # fmt: skip
TIMER_MODES = (
    "delay_for_missed_ticks", "no_delay_for_missed_ticks", "no_missed_ticks_pending", "one_missed_tick_pending",
)  # fmt: skip
#: The position is the bit number.
VIRIDIAN = (
    "base", "freq", "time_ref_count", "reference_tsc", "hcall_remote_tlb_flush", "apic_assist", "crash_ctl", "synic",
    "stimer", "hcall_ipi", "ex_processor_masks", "no_vp_limit", "cpu_hotplug",
)  # fmt: skip
#: What `viridian=["all"]` sets: every bit of libxl's bitmap, known or not.
VIRIDIAN_WIDTH = 64
#: The bits of mca_caps.
MCA_CAPS = {"lmce": 1}
GFX_PASSTHRU = ("default", "igd")
#: What `firmware` is to a guest of another type than HVM: a kernel, which Debian's Xen 4.17 has here.
PV_FIRMWARE = {name: f"/usr/lib/xen-4.17/boot/{name}.bin" for name in ("pvgrub32", "pvgrub64")}
VGA = {"stdvga": "std", "cirrus": "cirrus", "none": "none", "qxl": "qxl"}
DEVICE_MODELS = {"qemu-xen": "qemu_xen", "qemu-xen-traditional": "qemu_xen_traditional"}
