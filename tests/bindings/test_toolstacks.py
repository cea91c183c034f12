"""Find the toolstacks of a host in a fake /proc, and in the real one."""

import os
import subprocess
from pathlib import Path

import pytest

from pyxl.ops.monitor_run import command
from pyxl.xen import toolstacks
from pyxl.xen.toolstacks import Helper, Xl

SAVE = "/usr/lib/xen-4.17/bin/libxl-save-helper --save-domain 8 -1 7 0 136 0"
RESTORE = "/usr/bin/python3 -IS /opt/pyxl/helper/pyxl-save-helper --restore-domain 9 -1 8 1 0 2 0 768 0"


class Proc:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.add(1, "/sbin/init", parent=0)
        (directory / "self").mkdir()

    def add(self, pid: int, words: str, parent: int = 1, stdout: str = "/dev/null") -> None:
        process = self.directory / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "cmdline").write_text(words.replace(" ", "\0") + "\0" if words else "")
        (process / "comm").write_text(Path(words.split(" ")[0]).name + "\n")
        (process / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
        (process / "fd" / "1").symlink_to(stdout)

    def look(self) -> toolstacks.Toolstacks:
        return toolstacks.look(self.directory)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_an_idle_host(proc: Proc) -> None:
    proc.add(2, "", parent=0)
    proc.add(9, "xl list save")
    proc.add(10, "/usr/bin/xl create /etc/xen/web1.cfg", stdout="/var/log/xen/xl-web1.log")
    proc.add(11, "vi xl save")
    found = proc.look()
    assert found.idle()
    assert (found.helpers, found.standing) == ([], [])


def test_helpers_and_whether_their_toolstack_lives(proc: Proc) -> None:
    proc.add(40, "/usr/sbin/xl save web1 /srv/web1", parent=30)
    proc.add(41, SAVE, parent=40)
    proc.add(42, RESTORE, parent=1)
    proc.add(50, "/usr/lib/systemd/systemd --user")
    proc.add(51, SAVE, parent=50)
    found = sorted(proc.look().helpers)
    assert found == [Helper(41, 7, False), Helper(42, 8, True), Helper(51, 7, True)]


@pytest.mark.parametrize("words", ["save -c web1 /x", "-v migrate web1 there", "remus web1 there"])
def test_an_xl_that_saves(proc: Proc, words: str) -> None:
    proc.add(40, f"xl {words}")
    saver = proc.look().saver()
    assert saver is not None
    assert saver.pid == 40


@pytest.mark.parametrize("words", ["create web1.cfg", "restore /srv/web1", "migrate-receive"])
def test_an_xl_that_builds_is_told_from_one_that_has_built_and_watches(proc: Proc, words: str) -> None:
    proc.add(40, f"xl {words}", stdout="/var/log/xen/xl-web1.log.1")
    found = proc.look()
    assert found.builder("web2") is None
    assert found.builder("web1") == Xl(40, words.split()[0], "web1")  # it builds its guest again when that reboots
    proc.add(41, f"xl {words}", stdout="/dev/pts/0")
    assert proc.look().builder("web2") == Xl(41, words.split()[0], "")


@pytest.mark.parametrize("program", ["/usr/sbin/libvirtd", "/usr/sbin/virtxend", "/usr/sbin/xenopsd-xc"])
def test_standing_toolstacks(proc: Proc, program: str) -> None:
    proc.add(60, f"{program} --daemon")
    assert proc.look().standing == [Path(program).name]
    assert not proc.look().idle()


@pytest.mark.parametrize(
    ("words", "domid"),
    [(SAVE, 7), (RESTORE, 8), ("sleep --save-domain 8 -1 7", 0), ("pyxl-save-helper --save-domain 8", 0),
     ("pyxl-save-helper --save-domain 8 -1 x 0", 0), ("", 0)],
)  # fmt: skip
def test_what_a_helper_is_known_by(words: str, domid: int) -> None:
    assert toolstacks.helped(words.split()) == domid


def test_a_process_that_has_ended_is_no_helper() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert not toolstacks.is_helper(process.pid, 7)
    assert not toolstacks.is_helper(os.getpid(), 0)


def test_a_guest_s_monitor_is_known_by_its_words(proc: Proc) -> None:
    uuid, other = "6b1d9b2e-0000-4000-8000-000000000001", "6b1d9b2e-0000-4000-8000-000000000002"
    words = " ".join(command(7, uuid, f"web {other}"))
    proc.add(9, f"vi {uuid}")
    assert not toolstacks.is_watched(uuid, proc.directory)
    proc.add(10, words)
    assert toolstacks.is_watched(uuid, proc.directory)
    assert not toolstacks.is_watched(other, proc.directory)
    proc.add(11, "/usr/sbin/libvirtd --timeout 120")
    assert toolstacks.is_watched(other, proc.directory)
