"""pyxl-monitor as it waits: what wakes it, that nothing is missed, and how little it is."""

import os
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyxl.checkpoint.journal import Journal
from pyxl.model import paths
from pyxl.xen import domain_log
from pyxl_save_helper import monitor
from pyxl_save_helper.events import LOOK_SECONDS, Events

ROOT = Path(__file__).parents[2]
UUID = "6b1d9b2e-0000-4000-8000-000000000001"
#: What a process keeps that waits, beyond what Python has loaded when it starts.
MODULES = {
    "pyxl", "pyxl.errors", "pyxl.model", "pyxl.model.paths", "pyxl.xen", "pyxl.xen.lib", "pyxl.xen.info",
    "pyxl.xen.domain_log", "pyxl_save_helper", "pyxl_save_helper.monitor", "pyxl_save_helper.events",
    "ctypes", "ctypes._endian", "_ctypes", "_struct", "struct", "types", "_socket", "fcntl", "select",
    "os", "os.path", "stat", "_stat", "posixpath", "genericpath", "_collections_abc",
}  # fmt: skip


@pytest.fixture(autouse=True)
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "journals"
    directory.mkdir()
    monkeypatch.setattr(paths, "JOURNAL_DIRECTORY", str(directory))
    return directory


class Xen:
    """The domains of a host, by domid; a suspended domain is shut down, too."""

    def __init__(self) -> None:
        self.all = {7: SimpleNamespace(uuid=UUID, dying=False, shut_down=False)}

    def info(self, domid: int) -> SimpleNamespace | None:
        return self.all.get(domid)


class Script:
    """A guest whose monitor waits, and has done what it needs: each takes the next of its list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waits: list[str], answers: list[int | None]) -> None:
        self.xen = Xen()
        self.waits, self.answers = waits, answers
        self.did: list[object] = []
        self.said: list[str] = []
        monkeypatch.setattr(monitor, "attend", self.attend)
        monkeypatch.setattr(domain_log, "write", lambda _, text: self.said.append(text))

    def arm(self) -> None:
        self.did.append("arm")

    def wait(self, seconds: float | None) -> None:
        self.did.append(seconds)
        event = self.waits.pop(0)
        if event == "gone":
            self.xen.all.clear()
        self.xen.all.get(7, SimpleNamespace()).shut_down = event == "shut down"

    def attend(self, domid: int, uuid: str, name: str) -> int | None:
        assert (uuid, name) == (UUID, "web1")
        self.did.append(f"attend {domid}")
        answer = self.answers.pop(0)
        if answer:
            self.xen.all = {answer: SimpleNamespace(uuid=UUID, dying=False, shut_down=False)}
        return answer

    def watch(self) -> list[object]:
        monitor.watch(7, UUID, "web1", self.xen, self)  # type: ignore[arg-type]
        return self.did


def test_it_waits_without_an_end_until_its_guest_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, ["another's", "gone"], [])
    assert script.watch() == ["arm", None, "arm", None, "arm"]
    assert script.said == ['watching domain 7 "web1"', "domain 7 is gone"]


def test_what_takes_the_place_of_its_guest_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, ["shut down", "gone"], [8])
    assert script.watch() == ["arm", None, "arm", "attend 7", "arm", None, "arm"]
    assert script.said[-1] == "domain 8 is gone"


def test_it_ends_when_nothing_is_left_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Script(monkeypatch, ["shut down"], [0]).watch()[-1] == "attend 7"


def test_what_could_not_be_done_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, ["shut down", "shut down"], [None, 0])
    assert script.watch()[-4:] == ["attend 7", monitor.RETRY_SECONDS, "arm", "attend 7"]


@pytest.mark.parametrize("now", [{"uuid": "other"}, {"dying": True}], ids=str)
def test_another_domain_under_its_domid_is_none_of_its(monkeypatch: pytest.MonkeyPatch, now: dict[str, object]) -> None:
    script = Script(monkeypatch, [], [])
    script.xen.all[7].__dict__.update(now, shut_down=True)
    assert script.watch() == ["arm"]


def test_a_dead_operation_is_found_and_a_working_one_waited_for(journals: Path) -> None:
    path = journals / UUID
    assert not monitor.is_owed(str(path))
    found: list[bool] = []
    for end, owed in ((Journal.leave, True), (Journal.close, False)):
        path.unlink(missing_ok=True)
        journal = Journal("save", UUID, "web1")
        waiting = threading.Thread(target=lambda: found.append(monitor.is_owed(str(path))))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        end(journal)
        waiting.join()
        assert found.pop() is owed


def test_a_journal_that_nobody_locks_has_a_moment_to_begin(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = journals / UUID
    path.touch()
    slept: list[float] = []
    monkeypatch.setattr("pyxl_save_helper.monitor.time.sleep", slept.append)
    assert monitor.is_owed(str(path))
    monkeypatch.setattr("pyxl_save_helper.monitor.time.sleep", lambda _: path.unlink())
    assert not monitor.is_owed(str(path))
    assert slept == [monitor.BEGIN_SECONDS]


class Waiting:
    """Events of a real directory and a xenstored that is a socket; ``timeouts`` has those of all waits, in ms."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XENSTORED_PATH", str(directory / "socket"))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(directory / "socket"))
        self.listener.listen()
        self.timeouts: list[float | None] = []
        poll, timeouts = select.poll, self.timeouts

        class Poll:
            def __init__(self) -> None:
                self._poll = poll()
                self.register = self._poll.register

            def poll(self, timeout: float | None) -> list[tuple[int, int]]:
                timeouts.append(timeout)
                return self._poll.poll(timeout)

        monkeypatch.setattr("pyxl_save_helper.events.select.poll", Poll)
        self.events = Events()
        self.events.arm()
        self.store, _ = self.listener.accept()

    def wait(self) -> float | None:
        """Wait for an event that has already come, and return the timeout with which it would have been waited for."""
        self.events.wait(None)
        self.events.arm()
        return self.timeouts[-1]


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    yield Waiting(tmp_path, monkeypatch)
    import signal

    os.close(signal.set_wakeup_fd(-1))
    signal.signal(signal.SIGIO, signal.SIG_DFL)


def test_xenstored_is_asked_once_and_its_word_ends_the_wait(waiting: Waiting) -> None:
    assert waiting.store.recv(4096)[16:] == b"@releaseDomain\0pyxl\0"
    waiting.store.send(b"event")
    assert waiting.wait() is None
    waiting.store.setblocking(False)
    with pytest.raises(BlockingIOError):
        waiting.store.recv(1)


def test_a_new_journal_ends_the_wait(waiting: Waiting, journals: Path) -> None:
    for name in ("one", "two"):
        (journals / name).touch()
        assert waiting.wait() is None


def test_a_journal_made_between_look_and_wait_is_not_missed_in_a_new_directory(waiting: Waiting, journals: Path) -> None:
    journals.rename(journals.with_name("old"))
    journals.mkdir()
    waiting.store.send(b"event")
    waiting.wait()
    (journals / UUID).touch()
    assert waiting.wait() is None


def test_where_an_event_cannot_be_had_it_looks_by_itself(waiting: Waiting, journals: Path) -> None:
    waiting.store.close()
    waiting.listener.close()
    assert waiting.wait() is None  # xenstored has gone
    os.kill(os.getpid(), 29)
    assert waiting.wait() == 1000 * LOOK_SECONDS
    journals.rmdir()
    os.kill(os.getpid(), 29)
    assert waiting.wait() == 1000 * LOOK_SECONDS


ANSWERS = "import os, sys; os.write(3, b'%d' % (int(sys.argv[2]) + len(sys.argv[4]))); assert sys.argv[1] == '--attend'"


def test_what_the_child_finds_comes_back(tmp_path: Path) -> None:
    program = tmp_path / "pyxl-monitor"
    program.write_text(ANSWERS)
    assert monitor.attend(7, UUID, "web1", str(program)) == 11


def test_the_child_is_of_the_version_that_is_installed_when_it_is_needed(tmp_path: Path) -> None:
    """An upgrade has put other modules in the place of those that the monitor has in its memory."""
    shutil.copytree(ROOT / "helper", tmp_path / "helper")
    (tmp_path / "pyxl_save_helper").symlink_to("helper")
    for name in ("model", "xen"):
        shutil.copytree(ROOT / "pyxl" / name, tmp_path / "pyxl" / name)
    for name, text in {
        "__init__": "", "errors": (ROOT / "pyxl/errors.py").read_text() + "NEW = 9\n",
        "cli/__init__": "", "cli/wiring": "import pyxl.errors\ndef attend(*_): return pyxl.errors.NEW\n",
    }.items():  # fmt: skip
        path = tmp_path / "pyxl" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert monitor.attend(7, UUID, "web1", str(tmp_path / "helper/pyxl-monitor")) == 9


def test_why_the_child_fails_is_in_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(paths, "domain_log", lambda _: str(log))
    assert monitor.attend(7, UUID, "web1", str(tmp_path / "pyxl-monitor")) is None
    assert "is gone: nobody acts for domain 7 until it is there again" in log.read_text()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert monitor.attend(7, UUID, "web1", __file__) is None
    assert f"monitor: {tmp_path}/python3: No such file or directory" in log.read_text()


def test_a_child_that_cannot_act_says_why_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(domain_log, "write", lambda _, text: said.append(text))
    monkeypatch.setattr(os, "_exit", lambda _: None)
    monkeypatch.setattr(os, "set_inheritable", lambda *_: None)
    monitor.attend_as_child(7, UUID, "web1")
    assert [line.split(": ")[:2] for line in said] == [["monitor", "StoreError"]]


def test_it_loads_next_to_nothing_and_is_small() -> None:
    """The monitors of 50 guests are to take less than 250 MiB."""
    code = (
        f"import sys; had = set(sys.modules); sys.path.insert(0, {str(ROOT)!r}); from pyxl_save_helper import monitor\n"
        "monitor.Events()\n"
        "print(*sorted(set(sys.modules) - had))\n"
        "print(*(line for line in open('/proc/self/smaps_rollup') if line.startswith('Private_Dirty')))"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    modules, memory = done.stdout.splitlines()[:2]
    assert set(modules.split()) <= MODULES
    assert int(memory.split()[1]) < 4096
