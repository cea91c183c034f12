"""Build, boot, reset, use and end a lab, known by its name."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pyxl.errors import LabError, LabLost
from pyxl.lab import lock, machine, recipe
from pyxl.lab.host import Host, Input
from pyxl.lab.machine import Machine
from pyxl.lab.snapshot import (
    ANSWER_SECONDS,
    BOOT_SECONDS,
    Meta,
    end_abandoned,
    have_snapshot,
    image_held,
    make_overlay,
    start,
)  # fmt: skip
from pyxl.lab.steps import Quiet, Steps
from pyxl.lab.tools import cache_directory, ensure_packages, run

DEFAULT_NAME = "default"


class Lab:
    """One lab of this ``name``; if ``suite`` is None it keeps the one it has, or takes the default."""

    def __init__(self, name: str = DEFAULT_NAME, *, suite: str | None = None, steps: Steps | None = None,
                 cache: Path | None = None) -> None:  # fmt: skip
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise LabError(f"a lab's name is made of letters, digits, '.', '_' and '-', not {name!r}")
        self.name = name
        self.steps = Quiet() if steps is None else steps
        self.cache = cache_directory() if cache is None else cache
        self.directory = self.cache / "instances" / name
        self.machine = Machine(self.directory)
        self._suite = suite

    # Its state.

    def meta(self) -> Meta | None:
        try:
            return Meta(**json.loads((self.directory / "meta.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def suite(self) -> recipe.Suite:
        have = self.meta()
        name = self._suite or (have.suite if have and have.suite in recipe.SUITES else recipe.DEFAULT_SUITE)
        return recipe.suite(name)

    def wanted(self) -> Meta:
        """Return what the present recipe and this machine make; ``snapshot`` is empty if there is none yet."""
        suite = self.suite
        meta = Meta(suite.name, recipe.image_hash(suite), machine.qemu_version(), machine.nested_kvm())
        try:
            stat = (self.image_directory(meta) / meta.snapshot_name).stat()
        except OSError:
            return meta
        return replace(meta, snapshot=f"{stat.st_ino}-{stat.st_mtime_ns}")

    def port(self) -> int | None:
        try:
            return int((self.directory / "port").read_text())
        except (OSError, ValueError):
            return None

    @property
    def running(self) -> bool:
        return self.machine.pid() is not None

    @property
    def host(self) -> Host:
        """dom0 of the running lab.

        :raise LabError: the lab was never started.
        """
        have, port = self.meta(), self.port()
        if have is None or port is None:
            raise LabError(f'there is no lab "{self.name}"', f"start it: {self._command('up')}")
        return Host(self.directory, self.image_directory(have) / "key", port, lambda: self.running)

    def image_directory(self, meta: Meta) -> Path:
        return self.cache / "images" / meta.image

    def _command(self, verb: str) -> str:
        name = "" if self.name == DEFAULT_NAME else f" --name {self.name}"
        return f"pyxl lab {verb}{name}"

    # Its lock.

    @contextmanager
    def session(self, what: str = "a session") -> Iterator["Lab"]:
        """Let only this process and its children change this lab.

        :raise LabError: somebody else uses it.
        """
        path = self.cache / "instances" / f"{self.name}.lock"
        hint = "wait for it, or use a lab of your own with --name"
        with lock.held(path, what, f'lab "{self.name}"', hint):
            yield self

    # Changes.

    def up(self) -> None:
        """Start the lab with its guests; first build and boot the image and take the snapshot if there is none.

        :raise LabLost: the emulator or a guest died, twice.
        """
        with self.session(self._command("up")):
            ensure_packages(self.steps, self._log("packages.log"))
            wanted = self.wanted()
            have = self.meta()
            if self.running and have == wanted and self._answers():
                self.steps.say(f'lab "{self.name}" is running ({wanted.suite}, pid {self.machine.pid()})')
                return
            self.machine.stop()
            if not wanted.snapshot:
                have_snapshot(self.image_directory(wanted), wanted, self.steps, self._command("up"))
                wanted = self.wanted()
            if have != wanted or not (self.directory / "overlay.qcow2").exists():
                self._make_instance(wanted)
            self._load(wanted)

    def boot(self, *, keep: bool = False) -> None:
        """Boot a stock host: Debian with systemd and Xen, as it is after its installation, and no guests.

        With ``keep`` its disk is as the last boot has left it, by a shutdown or by a loss of power.

        :raise LabError: there is no such disk.
        :raise LabLost: it did not come up.
        """
        with self.session(self._command("boot")):
            ensure_packages(self.steps, self._log("packages.log"))
            have, disk = self.meta(), self.directory / "overlay.qcow2"
            self._stop()
            if keep and (have is None or have.snapshot or not disk.exists()):
                raise LabError(f'lab "{self.name}" has no disk to keep', f"start it: {self._command('boot')}")
            meta = have if keep and have is not None else replace(self.wanted(), snapshot="")
            directory = self.image_directory(meta)
            if not keep:
                with image_held(directory, meta, self.steps, self._command("boot")):
                    pass
                disk.unlink(missing_ok=True)
                make_overlay(directory, disk, self._log("disk.log"))
                self._note(meta, [])
            with self.steps.step(f"boot Debian {meta.suite} with systemd", self.machine.serial):
                start(self.machine, directory, disk, kvm=meta.kvm, stock=True)
                self.host.wait(BOOT_SECONDS)
                self.host.run("systemctl is-system-running --wait", timeout=BOOT_SECONDS)

    def cut_power(self) -> None:
        """Kill the emulator: what dom0 had not synced to its disk is lost."""
        with self.session("a loss of power"):
            if pid := self.machine.pid():
                os.kill(pid, signal.SIGKILL)
            self.wait_end(ANSWER_SECONDS)

    def wait_end(self, seconds: float) -> None:
        """Wait until the emulator has ended, as it does when dom0 shuts down or reboots.

        :raise LabError: it still runs after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > deadline:
                raise LabError(f'lab "{self.name}" still runs after {seconds:.0f} s', f"its log: {self.machine.serial}")
            time.sleep(0.1)

    def reset(self) -> None:
        """Put dom0 and its guests back to the snapshot; start the lab if need be.

        :raise LabError: there is no snapshot yet.
        """
        with self.session(self._command("reset")):
            have = self.meta()
            if have is None or not have.snapshot or not (self.directory / "overlay.qcow2").exists():
                raise LabError(f'lab "{self.name}" has no snapshot', f"make one: {self._command('up')}")
            self._load(have)

    def down(self) -> None:
        """Stop the emulator; the snapshot stays."""
        with self.session(self._command("down")):
            self._stop()

    def destroy(self) -> None:
        """Stop the emulator and remove the instance; images stay, as labs share them."""
        with self.session(self._command("destroy")):
            self._stop()
            shutil.rmtree(self.directory, ignore_errors=True)
            for directory in self._images():
                end_abandoned(directory, self._command("destroy"))

    def prune(self) -> list[str]:
        """Remove the images that no lab uses; return their names."""
        others = [Lab(path.name, cache=self.cache) for path in (self.cache / "instances").glob("*") if path.is_dir()]
        used = {meta.image for meta in (lab.meta() for lab in others) if meta is not None}
        removed = []
        for directory in self._images():
            if directory.name not in used and end_abandoned(directory, self._command("destroy")):
                shutil.rmtree(directory)
                removed.append(directory.name)
        return removed

    def _images(self) -> list[Path]:
        return sorted(path for path in (self.cache / "images").glob("*") if (path / "disk.qcow2").exists())

    def _stop(self) -> None:
        if self.meta() is not None and self.port() is not None:
            self.host.disconnect()
        self.machine.stop()

    def _answers(self) -> bool:
        try:
            return self.host.run("true", timeout=ANSWER_SECONDS).returncode == 0
        except LabError:
            return False

    def _log(self, name: str) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory / name

    def _load(self, meta: Meta) -> None:
        """Load the snapshot into a new emulator; if that is lost, try once more from a new copy."""
        with self.steps.step("load the snapshot", self.machine.log):
            try:
                self._load_once(meta)
                return
            except LabLost:
                self.machine.stop()
        # A dead emulator may have left its disk half written.
        if (self.image_directory(meta) / meta.snapshot_name).exists():
            self._make_instance(meta)
        with self.steps.step("load the snapshot once more", self.machine.log):
            self._load_once(meta)

    def _load_once(self, meta: Meta) -> None:
        if self.port() is not None:
            self.host.disconnect()
        # In a running emulator Xen's clock would crawl after the load: its counter and timers no longer agree.
        self.machine.stop()
        disk = self.directory / "overlay.qcow2"
        start(self.machine, self.image_directory(meta), disk, kvm=meta.kvm, snapshot=recipe.SNAPSHOT)
        self.host.wait(ANSWER_SECONDS)
        self.host.set_clock()

    def _make_instance(self, meta: Meta) -> None:
        """Give the instance its own copy of the image's snapshot."""
        self._log("meta.json").unlink(missing_ok=True)  # until the copy is whole, there is no instance
        source = self.image_directory(meta) / meta.snapshot_name
        with self.steps.step("copy the snapshot"):
            target = self.directory / "overlay.qcow2"
            target.unlink(missing_ok=True)
            run(["cp", "--sparse=always", "--reflink=auto", source, target], self._log("copy.log"))
        self._note(meta, [guest.name for guest in recipe.GUESTS])

    def _note(self, meta: Meta, guests: list[str]) -> None:
        """Note what the instance was made from, and which guests it has."""
        (self.directory / "guests").write_text("\n".join(guests) + "\n")
        (self.directory / "meta.json").write_text(json.dumps(asdict(meta)) + "\n")

    # Use.

    def exec(
        self, command: str | Sequence[str], *, input: Input = None, timeout: float | None = 600, check: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in dom0, its output captured; see Host.run.

        :raise LabLost: the emulator or the connection was lost.
        :raise LabError: with ``check``: it failed.
        """
        done = self.host.run(command, input=input, timeout=timeout)
        if check and done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise LabError(f"in dom0, status {done.returncode}: {command}\n{said}".rstrip())
        return done

    def push(self, tree: Path) -> int:
        """Copy the working tree to dom0; return the number of files."""
        return self.host.push(tree, self.suite.python, self.cache / "compiled")

    def put(self, local: Path, remote: str) -> None:
        self.host.put(local, remote)

    def get(self, remote: str, local: Path) -> None:
        self.host.get(remote, local)

    def status(self) -> dict[str, Any]:
        """Return the state of this lab as plain data."""
        meta = self.meta()
        guests = self.directory / "guests"
        return {
            "name": self.name,
            "running": self.running,
            "pid": self.machine.pid(),
            "port": self.port(),
            "suite": meta.suite if meta else None,
            "image": meta.image if meta else None,
            "current": meta is not None and meta.image == recipe.image_hash(self.suite),
            "qemu": meta.qemu if meta else None,
            "kvm": meta.kvm if meta else None,
            "snapshot": meta is not None and bool(meta.snapshot) and (self.directory / "overlay.qcow2").exists(),
            "guests": guests.read_text().split() if guests.exists() else [],
            "directory": os.fspath(self.directory),
        }
