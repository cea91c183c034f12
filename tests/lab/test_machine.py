"""QEMU's command line, ports and pid file, and whether KVM is usable; starts no QEMU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyxl.errors import LabLost
from pyxl.lab import machine, recipe
from pyxl.lab.machine import Machine, free_port, nested_kvm, port_is_free
from pyxl.lab.recipe import command_line


def after(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_command_line_emulates_a_processor_that_xen_starts_on(tmp_path: Path) -> None:
    argv = command_line(tmp_path, tmp_path / "overlay.qcow2", 2222, kvm=False)
    assert after(argv, "-accel") == "tcg,thread=multi"
    flags = after(argv, "-cpu").split(",")
    assert {"+svm", "+npt"} <= set(flags)
    assert not {"+xsave", "+rdtscp"} & set(flags)
    assert after(argv, "-initrd") == f"vmlinuz {recipe.DOM0_ARGUMENTS} {recipe.LAB_INIT},initrd.img"
    assert "dom0_mem=1536M,max:1536M" in after(argv, "-append")
    assert "-daemonize" in argv and "-no-reboot" in argv and "-loadvm" not in argv


def test_command_line_listens_on_this_machine_only(tmp_path: Path) -> None:
    netdev = after(command_line(tmp_path, tmp_path / "overlay.qcow2", 2222, kvm=False), "-netdev")
    assert "hostfwd=tcp:127.0.0.1:2222-:22" in netdev.split(",")
    assert "restrict=on" in netdev.split(",")


def test_command_line_with_kvm_and_a_snapshot(tmp_path: Path) -> None:
    argv = command_line(tmp_path, tmp_path / "overlay.qcow2", 2222, kvm=True, snapshot="ready")
    assert after(argv, "-accel") == "kvm"
    assert after(argv, "-cpu") == "host"
    assert after(argv, "-loadvm") == "ready"


def test_a_comma_in_the_cache_directory_does_not_end_an_option() -> None:
    argv = command_line(Path("/a,b"), Path("/a,b/overlay.qcow2"), 1, kvm=False)
    assert after(argv, "-drive").startswith("file=/a,,b/overlay.qcow2,if=virtio,")
    assert after(argv, "-serial") == "file:/a,,b/serial.log"
    assert after(argv, "-pidfile") == "/a,b/qemu.pid"


def test_ports() -> None:
    port = free_port()
    assert 1024 <= port <= 65535
    assert port_is_free(port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not port_is_free(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("cpuinfo", "module", "nested", "usable"),
    [
        ("flags : fpu svm npt\n", "kvm_amd", "1\n", True),
        ("flags : fpu vmx ept\n", "kvm_intel", "Y\n", True),
        ("flags : fpu vmx ept\n", "kvm_intel", "N\n", False),
        ("flags : fpu vmx ept\n", "kvm_amd", "1\n", False),
        ("flags : fpu svm_lock\n", "kvm_intel", "Y\n", False),
        ("flags : fpu\n", "kvm_intel", "Y\n", False),
    ],
)
def test_kvm_only_where_it_nests(tmp_path: Path, cpuinfo: str, module: str, nested: str, usable: bool) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    (tmp_path / module / "parameters").mkdir(parents=True)
    (tmp_path / module / "parameters/nested").write_text(nested)
    device = tmp_path / "kvm"
    device.touch()
    assert nested_kvm(tmp_path / "cpuinfo", tmp_path, device) is usable
    device.unlink()
    assert nested_kvm(tmp_path / "cpuinfo", tmp_path, device) is False


def test_a_recycled_pid_is_not_taken_for_ours(tmp_path: Path) -> None:
    qemu = Machine(tmp_path)
    assert qemu.pid() is None
    qemu.pid_file.write_text(f"{os.getpid()}\n")
    assert qemu.pid() is None
    qemu.stop()
    assert not qemu.pid_file.exists()


def test_stop_ends_a_process_that_has_no_monitor(tmp_path: Path) -> None:
    qemu = Machine(tmp_path)
    argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", os.fspath(qemu.pid_file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            qemu.pid_file.write_text(f"{process.pid}\n")
            assert qemu.pid() == process.pid
            # Nobody reaps it while stop() waits, so a zombie must count as gone.
            qemu.stop()
            assert qemu.pid() is None
            assert process.wait() == -15
        finally:
            process.kill()


def test_a_qemu_that_does_not_start_is_a_lost_lab_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho first >&2\necho no such snapshot >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(machine, "find", lambda program: os.fspath(fake))
    with pytest.raises(LabLost, match="QEMU did not start: no such snapshot") as caught:
        Machine(tmp_path).start(tmp_path, tmp_path / "disk", 1, kvm=False)
    assert caught.value.exit_status == 75
    assert "qemu.log" in caught.value.hint


def test_a_silent_monitor_is_a_lost_lab(tmp_path: Path) -> None:
    with pytest.raises(LabLost, match="monitor does not answer"):
        Machine(tmp_path).monitor(["savevm", "ready"])
