"""What a checkpoint's config can make the host do, and the warnings about it."""

import json
import os
from pathlib import Path

import pytest

from pyxl.errors import PyxlError
from pyxl.formats.guest_config import GuestConfig
from pyxl.ops import programs
from pyxl.ops.trust import admit

DISK = {"vdev": "hda", "pdev_path": "/srv/web1.img", "format": "raw", "readwrite": 1}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has programs of root's own")


def config(build: dict[str, object] | None = None, name: str = "web1", **rest: object) -> GuestConfig:
    document = {"c_info": {"name": name, "type": "hvm"}, "b_info": build or {}, **rest}
    return GuestConfig(json.dumps(document), "test")


def hvm(**members: object) -> GuestConfig:
    return config({"type.hvm": members})


def refused(guest: GuestConfig) -> str:
    with pytest.raises(PyxlError) as caught:
        admit(guest, own=False)
    assert "`pyxl restore CONFIG FILE`" in caught.value.hint
    return str(caught.value)


def test_a_guest_with_nothing_of_the_host_is_silent() -> None:
    assert "serial /var/log/xen/web1.log" in admit(hvm(serial="file:/var/log/xen/web1.log"), own=False)
    assert admit(hvm(serial="pty", usbdevice="tablet", vnc={"listen": "127.0.0.1"}), own=False) == ""


def test_files_are_said_in_one_line() -> None:
    guest = config(
        {"kernel": "/boot/guest", "type.hvm": {"acpi_firmware": "/srv/acpi", "serial_list": ["pty", "none"]}},
        disks=[DISK, {"vdev": "hdc", "format": "empty"}, {**DISK, "vdev": "xvdb", "backend_domname": "storage"}],
        channels=[{"name": "agent", "connection.socket": {"path": "/run/agent"}}],
        p9s=[{"tag": "share", "path": "/srv/share"}],
    )
    assert admit(guest, own=False) == (
        "the checkpoint names of this host: kernel /boot/guest, acpi_firmware /srv/acpi, disk hda /srv/web1.img, "
        "p9 /srv/share, channel /run/agent"
    )


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        (config({"extra_hvm": ["-chardev", "file,path=/etc/cron.d/x"]}), "extra_hvm -chardev file,path=/etc/cron.d/x"),
        (config({"extra": ["-S"]}), "extra -S"),
        (config({"bootloader": "pygrub", "bootloader_args": ["--x"]}), "bootloader_args --x"),
        (config({"type.pv": {"bootloader_args": ["--x"]}}), "bootloader_args --x"),
        (hvm(serial="file:/etc/cron.d/x"), "serial file:/etc/cron.d/x"),
        (hvm(serial="file:/var/log/xen/../x"), "serial file:/var/log/xen/../x"),
        (hvm(serial="file:/var/log/xen/x,server"), "serial file:/var/log/xen/x,server"),
        (hvm(serial_list=["pty", "pipe:/srv/x"]), "serial_list pipe:/srv/x"),
        (hvm(usbdevice_list=["tablet", "host:1.2"]), "usbdevice_list host:1.2"),
        (hvm(vnc={"listen": "::,password=off"}), "vnc listen ::,password=off"),
        (config(nics=[{"ifname": "a,script=/tmp/x"}]), "nic ifname a,script=/tmp/x"),
        (config(nics=[{"model": "vfio-pci,host=0"}]), "nic model vfio-pci,host=0"),
        (config(disks=[{**DISK, "pdev_path": "/a,if=none"}]), "disk hda pdev_path /a,if=none"),
    ],
)
def test_words_for_qemu_are_refused(guest: GuestConfig, said: str) -> None:
    assert refused(guest) == f"the checkpoint names {said}: words for a program that is run as root"


@pytest.mark.parametrize(
    "guest",
    [
        config(pcidevs=[{"bus": 3, "dev": 0, "func": 0}]),
        config(usbdevs=[{"type.hostdev": {"hostbus": 1, "hostaddr": 2}}]),
        config(dtdevs=[{"path": "/soc/ethernet"}]),
        hvm(gfx_passthru="True", gfx_passthru_kind="igd"),
        config({"iomem": [{"start": 0, "number": 1 << 20}]}),
        config({"ioports": [{"first": 0, "number": 1024}]}),
        config({"irqs": [9]}),
    ],
)
def test_hardware_is_refused(guest: GuestConfig) -> None:
    assert refused(guest).endswith("hardware of the host, handed to the guest")


@pytest.mark.parametrize("path", ["/usr/bin/env", "/usr/bin/../bin/env", "relative/env", "env"])
@needs_root
def test_only_an_absolute_path_of_root_s_own_is_run(path: str) -> None:
    guest = config({"device_model": path})
    if path == "/usr/bin/env":
        assert admit(guest, own=False) == ""
    else:
        assert "not root's alone to change" in refused(guest)


@needs_root
def test_a_program_that_others_can_change_is_not_run(tmp_path: Path) -> None:
    program = tmp_path / "dm"
    link = Path("/var/tmp") / f"pyxl-test-{os.getpid()}"
    program.touch(mode=0o755)
    guest = config({"device_model": os.fspath(program)})
    assert admit(guest, own=False) == ""
    program.chmod(0o775)
    assert "not root's alone" in refused(guest)
    program.chmod(0o755)
    tmp_path.chmod(0o777)
    assert "not root's alone" in refused(guest)
    tmp_path.chmod(0o1777)
    assert admit(guest, own=False) == ""
    try:
        link.symlink_to(program)
        assert admit(config({"device_model": os.fspath(link)}), own=False) == ""
        os.chown(link, 4711, 4711, follow_symlinks=False)
        assert "not root's alone" in refused(config({"device_model": os.fspath(link)}))
    finally:
        link.unlink()
    program.unlink()
    assert "not root's alone" in refused(guest), "anybody may make it"
    tmp_path.chmod(0o755)
    assert admit(guest, own=False) == ""
    os.chown(tmp_path, 4711, 4711)
    assert "not root's alone" in refused(guest)


@needs_root
def test_scripts_stand_in_xen_s_directory() -> None:
    assert admit(config(nics=[{"script": "vif-bridge"}]), own=False) == ""
    assert "/etc/xen/scripts/../../../tmp/x: run as root" in refused(config(nics=[{"script": "../../../tmp/x"}]))
    assert "disk hda script" in refused(config(disks=[{**DISK, "script": "/tmp/nobody-s/x"}]))


def test_pyxl_s_own_device_model_is_run_wherever_it_stands() -> None:
    assert admit(config({"device_model": programs.find(programs.QEMU_DM), "bootloader": "pygrub"}), own=False) == ""


@pytest.mark.parametrize("name", ["web\n1", "\x1b[2Jweb1", "web\u202e1", "web\u00851"])
def test_a_name_that_plays_with_the_terminal_is_refused_and_not_shown(name: str) -> None:
    assert refused(config(name=name)) == "the checkpoint's config has control characters in it"
    assert "control characters" in refused(config({"kernel": f"/boot/{name}"}))


def test_a_name_that_is_a_path_is_refused() -> None:
    assert "a name that is a path" in refused(config(name="../../etc/cron.d/x"))
