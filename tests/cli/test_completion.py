"""Completion, by the shells themselves: a command line and Tab go in, what the shell shows or puts there comes out."""

import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

from pyxl.cli import completion
from pyxl.cli.app import pyxl
from pyxl.cli.manual.commands import commands
from pyxl.repository.repository import Repository
from tests.bindings.test_store import Xenstored

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(completion.__file__).parent
#: Words of arguments that have no values to offer.
FREE = {"KEY", "VALUE", "CMD", "GUEST", "NAME", "LETTER", "FIELD", "MEM", "SPEC"}
NODES = {
    "/local/domain": "", "/local/domain/0": "", "/local/domain/0/name": "Domain-0",
    "/local/domain/3": "", "/local/domain/3/name": "web1", "/local/domain/12": "", "/local/domain/12/name": "web2",
    "/local/domain/x": "",
    "/libxl/3/device/vbd": "", "/libxl/3/device/vif": "",
    "/libxl/3/device/vbd/768": "", "/libxl/3/device/vbd/768/backend": "/b/1", "/b/1/dev": "hda", "/b/1/params": "/srv/web1.img",
    "/libxl/3/device/vif/0": "", "/libxl/3/device/vif/0/backend": "/b/2", "/b/2/mac": "00:16:3e:00:00:01",
}  # fmt: skip


class Daemon(Xenstored):
    """xenstored for one client after the other; of a directory only the names right below it."""

    def run(self) -> None:
        with suppress(OSError), self._listener:  # until it is ended
            while True:
                super().run()

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.join()

    def answer(self, op: int, body: bytes) -> tuple[int, bytes]:
        op, said = super().answer(op, body)
        if op != 1:
            return op, said
        names = dict.fromkeys(name.split("/")[0] for name in said.decode().split("\0") if name)
        return op, "".join(f"{name}\0" for name in names).encode()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with checkpoints and other files, xenstored beside it, and pyxl on the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pyxl").write_text(f"#!/bin/sh\nexec {sys.executable} -P -m pyxl \"$@\"\n")
    (tmp_path / "bin/pyxl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("XENSTORED_PATH", str(tmp_path / "socket"))
    daemon = Daemon(tmp_path / "socket")
    daemon.nodes = dict(NODES)
    daemon.start()
    srv = tmp_path / "srv"
    (srv / "old").mkdir(parents=True)
    (srv / "web1.checkpoint").write_bytes(b"Xen saved domain, xl format\n \0 \r" + bytes(100))
    (srv / "web 2.checkpoint").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    (srv / "notes.txt").write_text("nothing")
    (srv / "web1.cfg").write_text("name = 'web1'")
    kept = Repository.made(srv / "kept")
    for number in (1, 2, 13):
        kept.manifest_path(number).write_bytes(b"")
    monkeypatch.chdir(srv)
    yield srv
    daemon.end()


def choices(monkeypatch: pytest.MonkeyPatch, line: str) -> list[CompletionItem]:
    monkeypatch.setenv("_PYXL_COMPLETE", "zsh")
    *before, last = shlex.split(line) + [""] * line.endswith(" ")
    return completion.choices(pyxl, before, last)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("conv", ["convert"]),
        ("checkpoints ", ["list", "prune", "remove"]),
        ("checkpoints kep", ["kept/"]),
        ("save ", ["web1", "web2"]),
        ("save --compress ", ["web1", "web2"]),
        ("save --li", ["--live"]),
        ("save --engine ", ["direct", "libxc"]),
        ("save --engine=l", ["--engine=libxc"]),
        ("save --compress=a", ["--compress=auto"]),
        ("destroy web", ["web1", "web2"]),
        ("domname ", ["3", "12"]),
        ("recover web1 ", ["web1", "web2"]),
        ("restore ", ["kept", "kept@", "old/", "web 2.checkpoint", "web1.cfg", "web1.checkpoint"]),
        ("verify ", ["kept", "kept@", "old/", "web 2.checkpoint", "web1.checkpoint"]),
        ("verify kept@", ["kept@latest", "kept@13", "kept@2", "kept@1"]),
        ("verify kept@1", ["kept@13", "kept@1"]),
        ("verify ./web1.ch", ["./web1.checkpoint"]),
        ("verify old/", ["old/"]),  # none: the shell's own
        ("create ", ["old/", "web1.cfg"]),
        ("config show web1", ["web1", "web1.cfg", "web1.checkpoint"]),
        ("checkpoint ", ["kept/", "old/", "web1", "web2"]),
        ("export kept@2 ", [""]),  # a new file: the shell's own
        ("no-such-command ", []),
    ],
)
def test_what_may_follow(place: Path, monkeypatch: pytest.MonkeyPatch, line: str, found: list[str]) -> None:
    items = choices(monkeypatch, line)
    assert sorted(item.value for item in items) == sorted(found)


@pytest.mark.parametrize(("kind", "found"), [("vbd", ("hda", "/srv/web1.img")), ("vif", ("0", "00:16:3e:00:00:01"))])
def test_devices_of_the_domain_that_was_named(place: Path, kind: str, found: tuple[str, str]) -> None:
    from pyxl.cli.completion import values

    context = click.Context(pyxl)
    for domain, expected in (("web1", [found]), ("3", [found]), ("web2", [])):
        context.params = {"domain": domain}
        assert [(each.value, each.help) for each in values.devices(kind)(context, "")] == expected


def test_every_argument_is_known() -> None:
    """A word that this does not know is in WORDS, OF_COMMAND or DEVICES, or in FREE, where there is nothing to offer."""
    for name, command in commands().items():
        for param in command.params:
            if isinstance(param, click.Argument) and not isinstance(param.type, click.Choice | click.IntRange):
                for word in completion.words_of(param):
                    known = word in completion.WORDS or (name, word) in completion.OF_COMMAND or name in completion.DEVICES
                    assert known or word in FREE, (name, word)


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, argv: list[str], setup: str) -> None:
        environment = {**os.environ, "TERM": "dumb", "PS1": "", "PROMPT": "", "RPROMPT": ""}
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.execvpe(argv[0], argv, environment)
        self.until(f"{setup}; printf '%s-%s\\n' is ready\n", "is-ready")

    def until(self, typed: str, wanted: str) -> str:
        """Type, and return what is shown up to a text, and right after it."""
        os.write(self.terminal, typed.encode())
        shown, deadline = "", time.monotonic() + 30
        while time.monotonic() < deadline and select.select([self.terminal], [], [], 10)[0]:
            shown += os.read(self.terminal, 65536).decode(errors="replace")
            if wanted in shown:
                return shown
        raise AssertionError(f"{typed!r} made no {wanted!r}: {shown!r}")

    def words(self, line: str) -> list[str]:
        """Type a line and Tab, and return the words that the shell then takes it for."""
        # Ctrl-A and Ctrl-E go to the ends of the line.
        shown = self.until(f"{line}\t\x01printf '<%s>' \x05; printf '%s-%s\\n' that was\n", "that-was")
        return re.findall(r"<([^<>%]*)>", shown.rpartition("\n<")[2].join(("<", "")))

    def listed(self, line: str, *wanted: str) -> str:
        """Type a line and Tab twice, and return what is shown until all that is wanted is there; then give it up."""
        shown = self.until(f"{line}\t\t", wanted[0])
        for each in wanted[1:]:
            shown += "" if each in shown else self.until("", each)
        self.until("\x15printf '%s-%s\\n' given up\n", "given-up")
        return shown

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


SHELLS = {
    "bash": (["bash", "--noprofile", "--norc", "-i"], f"source {SCRIPTS}/pyxl.bash"),
    "zsh": (["zsh", "-f", "-i"], f"autoload -U compinit; compinit -u -D; setopt no_auto_menu; source {SCRIPTS}/_pyxl"),
}
#: A line, and the words that it has after Tab.
CASES = [
    ("pyxl sav", ["pyxl", "save"]),
    ("pyxl save --li", ["pyxl", "save", "--live"]),
    ("pyxl destroy we", ["pyxl", "destroy", "web"]),
    ("pyxl destroy web1", ["pyxl", "destroy", "web1"]),
    ("pyxl save --engine=l", ["pyxl", "save", "--engine=libxc"]),
    ("pyxl verify web1.ch", ["pyxl", "verify", "web1.checkpoint"]),
    ("pyxl verify web\\ 2", ["pyxl", "verify", "web 2.checkpoint"]),
    ("pyxl verify kept@1", ["pyxl", "verify", "kept@1"]),
    ("pyxl verify kept@l", ["pyxl", "verify", "kept@latest"]),
    ("pyxl verify old", ["pyxl", "verify", "old/"]),
    ("pyxl save web1 not", ["pyxl", "save", "web1", "notes.txt"]),
    ("pyxl no-such ", ["pyxl", "no-such"]),
]


@pytest.mark.parametrize("shell", SHELLS)
def test_in_a_shell(place: Path, shell: str) -> None:
    opened = Shell(*SHELLS[shell])
    try:
        assert {line: opened.words(line) for line, _ in CASES} == dict(CASES)
        said = opened.listed("pyxl restore kept@", "kept@13" if shell == "zsh" else "13", "latest")
        assert "rror" not in said and "Traceback" not in said
    finally:
        opened.close()


def test_in_fish(place: Path) -> None:
    def offered(line: str) -> list[str]:
        script = f"source {SCRIPTS}/pyxl.fish; complete -C {shlex.quote(line)}"
        done = subprocess.run(["fish", "--no-config", "-c", script], check=True, capture_output=True, text=True)
        assert done.stderr == ""
        return [each.split("\t")[0] for each in done.stdout.splitlines()]

    assert offered("pyxl conv") == ["convert"]
    assert "web1\tdomain 3" not in offered("pyxl destroy we") and offered("pyxl destroy we") == ["web1", "web2"]
    assert offered("pyxl save --engine=l") == ["--engine=libxc"]
    assert offered("pyxl verify web1.ch") == ["web1.checkpoint"]
    assert set(offered("pyxl verify kept@1")) == {"kept@1", "kept@13"}
    assert "notes.txt" in offered("pyxl save web1 not")
    assert offered("pyxl no-such ") == []


@pytest.mark.parametrize(
    "line", ["", "save ", "save --engine=", "block-detach no ", "verify \x01", "verify kept@", "lab exec ", "config diff "]
)
def test_it_never_says_anything_else(tmp_path: Path, line: str) -> None:
    """Without xenstored, in a directory that is gone: choices or nothing, and nothing on stderr."""
    gone = tmp_path / "gone"
    gone.mkdir()
    environment = {**os.environ, "_PYXL_COMPLETE": "zsh", "XENSTORED_PATH": "/nonexistent", "PYTHONPATH": str(ROOT)}
    program = "import os, sys; os.rmdir(sys.argv.pop(1)); from pyxl.__main__ import main; main()"
    argv = [sys.executable, "-c", program, str(gone), *line.split(" ")]
    done = subprocess.run(argv, cwd=gone, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(each.split("\t")[0] in ("word", "path", "part", "files", "") for each in done.stdout.splitlines())


def test_a_tab_is_answered_at_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's start and xenstore's answers included; the best of some, as other programs run meanwhile."""
    monkeypatch.setenv("_PYXL_COMPLETE", "zsh")
    for words in (["sav"], ["destroy", ""], ["restore", ""], ["verify", "kept@"]):
        seconds = []
        for _ in range(5):
            began = time.monotonic()
            subprocess.run(["pyxl", *words], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.monotonic() - began)
        print(f"pyxl {' '.join(words)}<Tab>: {sorted(seconds)[2]:.3f} s")
        assert min(seconds) < 0.3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_come_out_of_pyxl(shell: str) -> None:
    environment = {**os.environ, "_PYXL_COMPLETE": f"{shell}_source"}
    argv = [sys.executable, "-m", "pyxl"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == (SCRIPTS / completion.SCRIPTS[shell]).read_text()
