"""The snapshot that all instances of an image are copied from: a booted host with its guests, taken once."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyxl.errors import LabError, LabLost
from pyxl.lab import image, lock, machine, recipe
from pyxl.lab.host import Host
from pyxl.lab.machine import Machine
from pyxl.lab.steps import Steps
from pyxl.lab.tools import run

# Generous: how long it takes depends on who else uses the processors.
BOOT_SECONDS = 300.0
GUEST_SECONDS = 1200.0
GUEST_TRIES = 4
ANSWER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Meta:
    """What an instance was made from; another recipe, emulator or accelerator makes its snapshot worthless."""

    suite: str
    image: str
    qemu: str
    kvm: bool
    snapshot: str = ""  # which file was copied, as an image built anew has another; empty for a stock host

    @property
    def snapshot_name(self) -> str:
        return f"ready-{re.sub(r'[^0-9A-Za-z.]+', '-', self.qemu)}{'-kvm' if self.kvm else ''}.qcow2"


def start(
    qemu: Machine, image_directory: Path, disk: Path, *, kvm: bool, snapshot: str = "", stock: bool = False
) -> int:
    """Start an emulator on the port that its directory had before, or on a new one; returns the port.

    :raise LabLost: it would not start.
    """
    file = qemu.directory / "port"
    try:
        port = int(file.read_text())
    except (OSError, ValueError):
        port = 0
    if not port or not machine.port_is_free(port):
        port = machine.free_port()
        file.write_text(f"{port}\n")
    qemu.start(image_directory, disk, port, kvm=kvm, snapshot=snapshot, stock=stock)
    return port


@contextmanager
def image_held(directory: Path, meta: Meta, steps: Steps, who: str) -> Iterator[None]:
    """Have the image in ``directory``, to which nobody else does anything meanwhile; they are told of ``who``.

    :raise LabError: a program failed, or somebody else builds this image.
    """
    hint = "it is being built; try again when that is done"
    with lock.held(directory.with_suffix(".lock"), who, f"image {meta.image}", hint):
        if not (directory / "disk.qcow2").exists():
            image.build_image(recipe.suite(meta.suite), directory, steps)
        yield


def have_snapshot(directory: Path, meta: Meta, steps: Steps, who: str) -> None:
    """Have the image in ``directory`` and its snapshot; ``who`` is told to others that want them meanwhile.

    :raise LabError: a program failed, or somebody else builds this image.
    :raise LabLost: the emulator or a guest was lost, twice.
    """
    ready = directory / meta.snapshot_name
    with image_held(directory, meta, steps, who):
        if ready.exists():
            return
        try:
            make_snapshot(meta, ready, steps)
        except LabLost as error:
            steps.say(f"the lab was lost ({error}); trying once more")
            make_snapshot(meta, ready, steps)


def make_overlay(image_directory: Path, disk: Path, log: Path) -> None:
    """Make ``disk`` a new one with what the image's has."""
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image_directory / "disk.qcow2", disk], log)


def make_snapshot(meta: Meta, ready: Path, steps: Steps) -> None:
    """Boot the image in a directory of its own, start the guests, write the snapshot, stop."""
    directory = ready.parent
    booted = Machine(directory / "boot")
    booted.stop()
    shutil.rmtree(booted.directory, ignore_errors=True)
    booted.directory.mkdir()
    disk = booted.directory / "overlay.qcow2"
    make_overlay(directory, disk, directory / "boot.log")
    try:
        with steps.step("boot Xen and dom0", booted.serial):
            port = start(booted, directory, disk, kvm=meta.kvm)
            host = Host(booted.directory, directory / "key", port, lambda: booted.pid() is not None)
            host.wait(BOOT_SECONDS)
            host.set_clock()
        start_guests(host, booted.serial, steps)
        with steps.step(f"keep a checkpoint of the guest {recipe.SAVED_GUEST}", booted.serial):
            save_guest(host)
        with steps.step("take the snapshot", booted.serial):
            host.check("sync; echo 3 > /proc/sys/vm/drop_caches")
            host.disconnect()
            said = booted.monitor(["savevm", recipe.SNAPSHOT])
            if said:
                raise LabError(f"QEMU could not take the snapshot: {said}", "is the disk full?")
    finally:
        booted.stop()
    disk.rename(ready)
    shutil.rmtree(booted.directory, ignore_errors=True)


def start_guests(host: Host, log: Path, steps: Steps) -> None:
    """Start the test guests and pause each when it ticks.

    :raise LabLost: one never came up.
    """
    # Two at a time: the host has two processors, and a third guest only makes all of them slower.
    for at in range(0, len(recipe.GUESTS), 2):
        pair = [guest.name for guest in recipe.GUESTS[at : at + 2]]
        with steps.step(f"start the guests {' and '.join(pair)}", log):
            for name in pair:
                create_guest(host, name)
            for name in pair:
                pause_guest(host, name)


def create_guest(host: Host, name: str) -> None:
    done = host.run(f"xl create /etc/xen/lab/{name}.cfg", timeout=GUEST_SECONDS)
    if done.returncode:
        raise LabLost(f"guest {name} was not created: {done.stderr.decode('utf-8', 'replace').strip()}")


def pause_guest(host: Host, name: str) -> None:
    """Pause a guest when it ticks; one that the emulator disturbed as it booted is started again.

    The emulator loses a guest now and then when an interrupt meets the entry into it: Xen reports a triple fault with
    its own registers for the guest's.  The host goes on, and booting all of it again would cost minutes.
    """
    for _ in range(GUEST_TRIES):
        wait = f"guestctl tick {name} --timeout {GUEST_SECONDS:.0f} && xl pause {name}"
        done = host.run(wait, timeout=GUEST_SECONDS + ANSWER_SECONDS)
        if done.returncode == 0:
            return
        host.run(f"xl destroy {name}; sleep 1; xl destroy {name}", timeout=ANSWER_SECONDS)
        create_guest(host, name)
    raise LabLost(f"guest {name} never came up: {done.stderr.decode('utf-8', 'replace').strip()}")


def save_guest(host: Host) -> None:
    """Keep a checkpoint of one guest in dom0; the guest itself is paused again afterwards.

    :raise LabLost: it does not come back.
    """
    name, file = recipe.SAVED_GUEST, recipe.SAVED_GUEST_FILE
    done = host.run(
        f"xl unpause {name} && xl save {name} {file} && xl restore {file} && guestctl tick {name} --timeout 120 "
        f"&& xl pause {name}", timeout=GUEST_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise LabLost(f"guest {name} was not saved: {done.stderr.decode('utf-8', 'replace').strip()}")


def end_abandoned(directory: Path, who: str) -> bool:
    """End an emulator that a killed `up` left in an image's directory; False when somebody builds it just now."""
    try:
        with lock.held(directory.with_suffix(".lock"), who, f"image {directory.name}", ""):
            Machine(directory / "boot").stop()
    except LabError:
        return False
    return True
