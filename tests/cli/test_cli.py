"""The command line without Xen: help, usage, and errors in one clear line."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from pyxl import __version__
from pyxl.cli import app, progress, words
from pyxl.cli.target import target_of
from pyxl.formats.stream import xl_header
from tests.formats.stream import streams

ROOT = Path(__file__).parents[2]
NO_XEN = not Path("/sys/hypervisor/version").exists()


def pyxl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pyxl", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_version() -> None:
    assert pyxl("--version").stdout == f"pyxl {__version__}\n"


def test_help_lists_every_command_and_each_has_its_own() -> None:
    listed = pyxl("--help").stdout
    for name in app.COMMANDS:
        assert f"  {name} " in listed
    for name in app.COMMANDS:
        assert pyxl(name, "--help").stdout.startswith(f"Usage: pyxl {name} ")


@pytest.mark.parametrize("arguments", [["save", "web1", "x"], ["restore", "x"], ["list"], ["create", "x.cfg"], ["destroy", "1"], ["info"], ["shutdown", "-a"]])
def test_without_xen_every_command_says_so(arguments: list[str]) -> None:
    assert NO_XEN, "room 3 is for machines without Xen; on a Xen host run the lab's tests"
    result = pyxl(*arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "pyxl: this machine is not a Xen host: no hypervisor in sysfs",
        "      `pyxl lab up` starts a real one in QEMU.",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["save", "web1"], "Missing argument 'FILE'"),
        (["save", "-x", "web1", "f"], "No such option"),
        (["restore", "a", "b", "c"], "restore takes a FILE, or a CONFIG and a FILE"),
        (["save", "--max-rounds", "3", "a", "b"], "--max-downtime and --max-rounds are of --live"),
        (["create", "a", "b"], 'create takes one config file; what is "b"?'),
        (["create"], "create needs a config file"),
        (["domname", "x"], "'x' is not a valid integer"),
        (["save", "--progress=loud", "web1", "f"], "'loud' is not one of"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str) -> None:
    result = pyxl(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["--version"], ["save", "--help"]])
def test_output_that_has_no_room_is_told(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-m", "pyxl", *command], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr == "pyxl: [Errno 28] No space left on device\n"


HEAVY = {
    "rich", "numpy", "asyncio", "subprocess", "logging", "tempfile", "shutil", "glob", "pyxl.lab", "pyxl.files",
    "pyxl.formats.xlcfg", "pyxl.formats.legacy", "pyxl.ops.recover", "pyxl.ops.monitor", "pyxl.xen.cpu", "pyxl.xen.guest",
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "others"),
    [
        ("save", {"pyxl.ops.checkpoint", "pyxl.ops.restore", "pyxl.ops.preflight", "pyxl.ops.trust"}),
        ("restore", {"pyxl.ops.save", "pyxl.ops.helper_run", "pyxl.dm"}),
        ("domains", {"pyxl.cli.progress", "pyxl.ops.settle", "pyxl.checkpoint", "pyxl.dm", "pyxl.xen.topology"}),
        ("create", {"pyxl.ops.save", "pyxl.ops.checkpoint", "pyxl.ops.helper_run", "pyxl.dm"}),
    ],
)
def test_a_command_imports_only_what_it_uses(command: str, others: set[str]) -> None:
    code = f"import sys; had = set(sys.modules); from pyxl.cli import app, {command}; print(*sorted(set(sys.modules) - had))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not (HEAVY | others) & set(done.stdout.split())


def test_a_monitor_s_child_needs_no_command_line() -> None:
    code = "import sys; from pyxl.cli import wiring; from pyxl.ops import monitor; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"click", "rich"} & set(done.stdout.split())


def test_helper_starts_with_next_to_nothing() -> None:
    code = "import sys; import pyxl_save_helper.__main__, pyxl_save_helper.direct; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-ISc", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    loaded = set(done.stdout.split())
    assert not {"typing", "enum", "dataclasses", "pathlib", "subprocess", "re", "json", "threading", "click", "contextlib", "collections"} & loaded


def test_plain_progress_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown("plain", lambda _: None) as report:
        report.step("suspending the guest")
        report.progress(1 << 20, 4 << 20)
        report.progress(4 << 20, 4 << 20)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "suspending the guest …"
    assert lines[1].startswith("  25 % of 4.0 MiB, ")
    assert len(lines) == 2


def test_progress_says_what_is_stored_of_a_compressed_stream(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("plain", "json"):
        with progress.shown(mode, lambda _: None) as report:
            report.stored(1 << 19)
            report.progress(1 << 20, 4 << 20)
    plain, as_json = capsys.readouterr().err.splitlines()
    assert plain.endswith("/s, 512 KiB stored")
    assert json.loads(as_json)["stored"] == 1 << 19


def test_json_progress_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown("json", lambda _: None) as report:
        report.step("writing memory")
        report.progress(10, 100)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first == {"step": "writing memory"}
    assert (second["bytes"], second["total"]) == (10, 100)
    assert second["rate"] > 0
    assert second["seconds_left"] >= 0


def test_an_interrupt_while_modules_come_in_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyxl", "list"], cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs the tests may ignore it
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_quiet_progress_is_silent_but_logs(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with progress.shown("none", lines.append) as report:
        report.step("x")
        report.progress(1, 2)
        report.log("helper: y")
    assert capsys.readouterr().err == ""
    assert lines == ["helper: y"]
    assert report.interval is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1536, "2 KiB"), (5 << 20, "5.0 MiB"), (545 << 20, "545 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_for_a_person(count: int, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize("streams", ["2>&-", "0<&- 1>&- 2>&-", "2>/dev/full"])
def test_a_stream_that_is_closed_or_full_stops_nothing(streams: str) -> None:
    """Nor does what is said go to a file that has got its number."""
    command = f"{sys.executable} -m pyxl inspect /nowhere {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_target_is_what_is_open_there(tmp_path: Path) -> None:
    assert target_of(Path("-")) == 1
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", f"/proc/{os.getpid()}/fd/1"):
        assert target_of(Path(name)) == 1, name
    link = tmp_path / "link"
    link.symlink_to("/dev/stdout")
    assert target_of(link) == 1
    for other in (tmp_path / "1", Path("/dev/null"), Path("/dev/fd"), Path("x")):
        assert target_of(other) == other


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"},
        {"PYTHONWARNINGS": "error"}, {"PYTHONOPTIMIZE": "2"}, {"PYTHONDEVMODE": "1"}, {"PYTHONINSPECT": "1"},
        {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSTARTUP": "/no"},
    ],
    ids=lambda variables: " ".join(f"{key}={value}" for key, value in variables.items()),
)  # fmt: skip
def test_what_the_user_tells_python_changes_nothing(tmp_path: Path, variables: dict[str, str]) -> None:
    file = tmp_path / "gäst"
    body = streams.checkpoint(marked=True)[len(xl_header.encode(streams.CONFIG)) :]
    file.write_bytes(xl_header.encode(streams.CONFIG.replace(b"web1", "gäst".encode())) + body)
    found = [
        subprocess.run([sys.executable, "-m", "pyxl", *words], env=env, capture_output=True, stdin=subprocess.DEVNULL)
        for words in (["inspect", str(file)], ["verify", str(file)], ["inspect", str(tmp_path / "nö")])
        for env in ({"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, {"PATH": "/usr/bin:/bin"} | variables)
    ]
    for usual, changed in zip(found[::2], found[1::2], strict=True):
        assert (changed.returncode, changed.stdout, changed.stderr) == (usual.returncode, usual.stdout, usual.stderr)
    assert 'name      "gäst"'.encode() in found[1].stdout
    assert "nö".encode() in found[5].stderr


@pytest.mark.parametrize(
    ("term", "columns", "mode"),
    [("xterm", 80, "_Bar"), ("dumb", 80, "_Plain"), ("xterm", 20, "_Plain"), ("xterm", 0, "_Bar")],
)
def test_a_bar_needs_a_terminal_that_can_show_it(
    monkeypatch: pytest.MonkeyPatch, term: str, columns: int, mode: str
) -> None:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    monkeypatch.setenv("TERM", term)
    with open(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.shown("auto", lambda _: None) as report:
            assert type(report).__name__ == mode
    os.close(master)
